"""A narrow channel between a submission and the process that grades it.

What crosses it are values of a few types: numbers, strings, None, tuples, lists, dicts,
sets, arrays (as NPY, never pickled), tensors and networks of PyTorch's own layers.
Functions and other objects stay where they are; the other side holds a number for them
and may call. No code and no pickle crosses in either direction, and sizes are bounded.

Both sides run a `Peer`. A call waits for its answer, and serves the calls that the
other side makes in between: so a function under test may call a stand-in that lives
with the tests.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import json
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

LARGEST = 2**29  # bytes of a message
LONGEST_TEXT = 2**26  # of them, what is no array
DEEPEST = 50  # nested containers
LONGEST = 10**6  # elements of a container
PLAIN = (type(None), bool, int, float, str)
_HEAD = struct.Struct(">QQ")
STATUS = struct.Struct("i")  # a process's number, or how it ended


class Closed(ConnectionError):
    """The other side is gone."""


class Refused(TypeError):
    """A value that does not cross the channel."""


class RemoteError(Exception):
    """An error on the other side: its type's name and its text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# --- frames -------------------------------------------------------------------------


def send_frame(sock: socket.socket, header: Any, buffers: list[bytes]) -> None:
    """Write a header as JSON and the buffers that it refers to."""
    text = json.dumps([header, [len(buffer) for buffer in buffers]]).encode()
    total = sum(map(len, buffers))
    if len(text) > LONGEST_TEXT or len(text) + total > LARGEST:
        raise Refused(f"a message of more than {LARGEST >> 20} MiB")
    try:
        sock.sendall(_HEAD.pack(len(text), total) + text)
        for buffer in buffers:
            sock.sendall(buffer)
    except OSError as error:
        raise Closed(str(error)) from None


def read_frame(sock: socket.socket) -> tuple[Any, list[memoryview]]:
    """Read what `send_frame` wrote, or raise `Closed`."""
    n_text, n_bytes = _HEAD.unpack(_exactly(sock, _HEAD.size))
    if n_text > LONGEST_TEXT or n_text + n_bytes > LARGEST:
        raise Closed("a message that is too large")
    text, content = _exactly(sock, n_text), _exactly(sock, n_bytes)
    try:
        header, sizes = json.loads(text)
        ends = np.cumsum([0, *map(int, sizes)]).tolist()
        if min(sizes, default=0) < 0 or ends[-1] != n_bytes:
            raise ValueError("sizes")
    except (ValueError, TypeError, RecursionError) as error:
        raise Closed(f"a message that cannot be read ({error})") from None
    view = memoryview(content)
    return header, [view[a:b] for a, b in itertools.pairwise(ends)]


def _exactly(sock: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    done = 0
    while done < size:
        try:
            got = sock.recv_into(view[done:])
        except OSError as error:
            raise Closed(str(error)) from None
        if got == 0:
            raise Closed("the other side is gone")
        done += got
    return content


# --- values -------------------------------------------------------------------------


class Coder:
    """Turns values into JSON and buffers, and back.

    Parameters
    ----------
    peer : keeps what does not cross: functions, objects, graphs of gradients
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.buffers: list[bytes] = []
        self.sent: list[Any] = []  # what the other side may change, in order
        self.linked: list[Any] = []  # tensors through which gradients flow
        self.leaves: list[Any] | None = None  # of the request that is answered

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return a value as JSON; arrays go to the buffers."""
        if depth > DEEPEST:
            raise Refused("a value that is nested too deeply, or contains itself")
        if isinstance(value, np.generic):
            return {"n": self._array(np.asarray(value))}
        if isinstance(value, bool | None):
            return value
        for kind in (int, float, str):
            if isinstance(value, kind):
                return kind(value)
        if isinstance(value, complex):
            return {"c": [value.real, value.imag]}
        if isinstance(value, bytes | bytearray):
            self.buffers.append(bytes(value))
            return {"b": len(self.buffers) - 1}
        if isinstance(value, np.ndarray):
            self.sent.append(value)
            return {"a": self._array(value)}
        tree = self._container(value, depth)
        return self.peer.encode(self, value, depth) if tree is None else tree

    def _array(self, value: np.ndarray) -> int:
        if value.dtype.hasobject:
            raise Refused("an array of objects")
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
        self.buffers.append(file.getvalue())
        return len(self.buffers) - 1

    def _container(self, value: Any, depth: int) -> dict[str, Any] | None:
        def all_of(values: Any) -> list[Any]:
            if len(values) > LONGEST:
                raise Refused(f"a container of more than {LONGEST} elements")
            return [self.encode(each, depth + 1) for each in values]

        if isinstance(value, tuple):
            fields = getattr(type(value), "_fields", None)
            return {"t": all_of(value)} | ({"named": True} if fields else {})
        if isinstance(value, dict):
            return {"d": [all_of(pair) for pair in value.items()]}
        for sign, kinds in (("l", (list, range)), ("s", (set, frozenset))):
            if isinstance(value, kinds):
                return {sign: all_of(list(value))}
        if isinstance(value, type({}.keys()) | type({}.values())):
            return {"l": all_of(list(value))}
        if isinstance(value, slice):
            return {"slice": all_of([value.start, value.stop, value.step])}
        if type(value) is SimpleNamespace:
            return {"space": [all_of(pair) for pair in vars(value).items()]}
        return None


@dataclass
class Parts:
    """What belongs to a message that was received."""

    buffers: list[memoryview]
    linked: list[Any] = field(default_factory=list)  # sent with the request
    leaves: list[Any] = field(default_factory=list)  # tensors that take gradients
    received: list[tuple[Any, Any]] = field(default_factory=list)  # value, how it was


def decode(peer: Peer, tree: Any, parts: Parts, depth: int = 0) -> Any:
    """Return the value that `Coder.encode` described; refuse everything else."""
    if depth > DEEPEST:
        raise Refused("a value that is nested too deeply")
    if isinstance(tree, PLAIN):
        return tree
    if not isinstance(tree, dict) or not tree:
        raise Refused("a value of unknown form")

    def all_of(values: Any) -> list[Any]:
        return [decode(peer, each, parts, depth + 1) for each in values]

    sign, content = next(iter(tree.items()))
    if sign == "a":
        array = array_of(parts.buffers[content])
        parts.received.append((array, parts.buffers[content]))
        return array
    if sign == "n":
        return array_of(parts.buffers[content])[()]
    if sign == "b":
        return bytes(parts.buffers[content])
    if sign == "c":
        return complex(*content)
    if sign == "t":
        return tuple(all_of(content))
    if sign == "l":
        return all_of(content)
    if sign == "s":
        return set(all_of(content))
    if sign == "slice":
        return slice(*all_of(content))
    if sign == "d":
        return dict(map(all_of, content))
    if sign == "space":
        return SimpleNamespace(**{str(k): v for k, v in map(all_of, content)})
    return peer.decode(tree, parts, depth)


def array_of(buffer: memoryview) -> np.ndarray:
    """Read an array that was written as NPY; objects are refused."""
    return np.lib.format.read_array(io.BytesIO(buffer), allow_pickle=False)


# --- calls --------------------------------------------------------------------------


class Peer:
    """One side of a channel.

    Parameters
    ----------
    sock : stream to the other side
    serve : does what the other side asks for: gets the name of the request and its
        values, and returns a value
    trusting : whether to take instances of libraries' classes from the other side, and
        to look up what it names: so does the submission's side, never the tests'
    tensors : returns `deepsvdd.course.tensors`, or None where nobody uses PyTorch
        unless it is needed
    """

    def __init__(
        self,
        sock: socket.socket,
        serve: Callable[[str, dict[str, Any]], Any],
        trusting: bool = False,
        tensors: Callable[[bool], Any] = lambda needed: None,
    ) -> None:
        self.sock, self.serve, self.trusting = sock, serve, trusting
        self.tensors = tensors
        self.lock, self.process = threading.RLock(), os.getpid()
        self.waiting = False  # for the other side, when nothing may interrupt
        self.kept: dict[int, Any] = {}
        self.numbers = 0
        self.given: dict[str, Any] = {}  # what both sides have by the same name
        self.names: dict[str, Any] = {}  # the notebook's, for who is trusting

    def keep(self, value: Any) -> int:
        """Keep something that the other side may refer to by the number returned."""
        self.numbers += 1
        self.kept[self.numbers] = value
        return self.numbers

    def ask(self, request: str, **values: Any) -> Any:
        """Send a request; return the answer, serving what is asked meanwhile.

        Arrays, tensors and networks that the other side has changed in place are
        changed here, too.

        Raises
        ------
        RemoteError
            If the other side raised an error.
        Closed
            If it is gone.
        """
        if os.getpid() != self.process:
            raise RuntimeError("a process of your own cannot call this function")
        with self.lock:
            self.waiting = True
            try:
                coder = self._send({"ask": request}, values)
                header, buffers = self._read()
                while "ask" in header:
                    self._answer(header, buffers)
                    header, buffers = self._read()
            finally:
                self.waiting = False
            if "error" in header:
                kind, text = header["error"], header.get("message")
                raise RemoteError(str(kind)[:80], str(text)[:2000])
            parts = Parts(buffers, linked=coder.linked)
            result, changed = self._decoded(header.get("values"), parts)
            for number, value in changed:
                self.copy_into(coder.sent[number], value)
            return result

    def ask_about(self, request: str, **values: Any) -> Any:
        """Ask for what something kept by the other side does."""
        return self.ask(request, **values)

    def _read(self) -> tuple[dict[str, Any], list[memoryview]]:
        header, buffers = read_frame(self.sock)
        if not isinstance(header, dict):
            raise Closed("a message of unknown form")
        return header, buffers

    def loop(self) -> None:
        """Serve until the other side is gone."""
        with contextlib.suppress(Closed):
            while True:
                self._answer(*self._read())

    def _answer(self, header: Any, buffers: list[memoryview]) -> None:
        try:
            parts = Parts(buffers)
            values = self._decoded(header.get("values"), parts)
            if not isinstance(values, dict) or not isinstance(header["ask"], str):
                raise Refused("a request of unknown form")
            waiting, self.waiting = self.waiting, False
            try:
                result = self.serve(header["ask"], values)
            finally:
                self.waiting = waiting
            changed = [
                [number, new]
                for number, (value, before) in enumerate(parts.received)
                if (new := self.change_of(value, before)) is not None
            ]
            self._send({}, [result, changed], parts.leaves)
        except Closed:
            raise
        except BaseException as error:
            kind, text = name_of(error), ""
            with contextlib.suppress(Exception):  # a submission's own class may fail
                text = str(error)[:2000]
            if os.getpid() != self.process:
                os._exit(1)
            send_frame(self.sock, {"error": kind, "message": text}, [])

    def _send(
        self, header: dict[str, Any], values: Any, leaves: list[Any] | None = None
    ) -> Coder:
        if os.getpid() != self.process:  # forked by a cell, and come back out of it
            os._exit(1)
        coder = Coder(self)
        coder.leaves = leaves
        try:
            header = header | {"values": coder.encode(values)}
        except RecursionError:
            raise Refused("a value that is nested too deeply") from None
        send_frame(self.sock, header, coder.buffers)
        return coder

    def _decoded(self, tree: Any, parts: Parts) -> Any:
        wrong = (IndexError, KeyError, ValueError, AttributeError, RecursionError)
        try:
            return decode(self, tree, parts)
        except (*wrong, RuntimeError) as error:
            kind = type(error).__name__
            raise Refused(f"a value that cannot be read ({kind})") from None

    # What is no plain value.

    def encode(self, coder: Coder, value: Any, depth: int) -> Any:
        """Return a tensor, a network, a name that both sides have, or a number."""
        tensors = self.tensors(False)
        tree = tensors and tensors.encode(coder, value, depth)
        if tree is not None:
            return tree
        if isinstance(value, There) and value._peer is self:
            return {"yours": value._number, "name": value.__name__}
        for name, known in self.given.items():
            if known is value:
                return {"given": name}
        if not self.trusting and (state := state_of(value)) is not None:
            kind = type(value)
            return {
                "object": f"{kind.__module__}:{kind.__qualname__}",
                "state": coder.encode(state, depth + 1),
            }
        what = "function" if callable(value) else type(value).__name__[:80]
        return {"mine": self.keep(value), "what": what}

    def decode(self, tree: dict[str, Any], parts: Parts, depth: int) -> Any:
        """Return what `encode` of the other side described."""
        if "mine" in tree:
            return There(self, int(tree["mine"]), "", str(tree.get("what"))[:80])
        if "given" in tree:
            return self.given[tree["given"]]
        if tree.get("yours"):
            return self.kept[int(tree["yours"])]
        if "yours" in tree and self.trusting:
            if tree["name"] not in self.names:
                raise NameError(f"name '{tree['name']}' is not defined")
            return self.names[tree["name"]]
        if "object" in tree and self.trusting:
            module, _, name = tree["object"].partition(":")
            kind = getattr(importlib.import_module(module), name)
            value = kind.__new__(kind)
            value.__dict__.update(decode(self, tree["state"], parts, depth + 1))
            return value
        if "tensor" in tree or "network" in tree:
            return self.tensors(True).decode(self, tree, parts, depth)
        raise Refused("a value of unknown form")

    def change_of(self, value: Any, before: Any) -> Any:
        """Return the new content of what a function has changed in place, else None."""
        if isinstance(value, np.ndarray):
            same = value.tobytes() == array_of(before).tobytes()
            return None if same else value
        return self.tensors(True).change_of(value, before)

    def copy_into(self, target: Any, content: Any) -> None:
        """Change an array, a tensor or a network as the other side has done."""
        if not isinstance(target, np.ndarray):
            self.tensors(True).copy_into(target, content)
        elif target.flags.writeable and np.shape(content) == target.shape:
            np.copyto(target, content, casting="unsafe")


def name_of(error: BaseException) -> str:
    """Return the name of an error's type, 'BaseException' for a rare one."""
    name = str(getattr(error, "kind", type(error).__name__))
    spoken = ("SystemExit", "KeyboardInterrupt", "OutOfTime")
    return name if isinstance(error, Exception) or name in spoken else "BaseException"


def state_of(value: Any) -> dict[str, Any] | None:
    """Return the attributes of a fitted estimator of scikit-learn, else None."""
    kind = type(value)
    if not kind.__module__.startswith("sklearn.") or callable(value):
        return None
    return dict(vars(value))


class There:
    """A function or an object on the other side of a channel.

    It can be called, and has the attributes, items and length that it has there, as
    far as they are plain values or functions. It equals nothing but itself, whatever
    the class of the object says.
    """

    def __init__(self, peer: Peer, number: int, name: str, what: str) -> None:
        self._peer, self._number, self._name, self._what = peer, number, name, what
        self.__name__ = name or what

    def _ask(self, request: str, **values: Any) -> Any:
        return self._peer.ask_about(request, target=self, **values)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there."""
        return self._ask("call", arguments=arguments, named=named)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that does not begin with an underscore."""
        if name.startswith("_"):
            raise AttributeError(f"'{self._what}' has no attribute '{name}'")
        return self._ask("attribute", name=name)

    def __getitem__(self, key: Any) -> Any:
        """Return an item."""
        return self._ask("item", key=key)

    def __iter__(self) -> Any:
        """Return an iterator over its items, all of them asked for at once."""
        return iter(self._ask("items"))

    def __len__(self) -> int:
        """Return its length."""
        return int(self._ask("length"))

    def __repr__(self) -> str:
        """Name it."""
        return f"<{self._what} {self._name}>".replace(" >", ">")
