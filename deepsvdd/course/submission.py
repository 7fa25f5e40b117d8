"""A submission: what of a notebook that a student hands in belongs where."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from nbformat import NotebookNode

from deepsvdd.course.source import Assignment, bound_names, essence, grade_id, kind

_MARKER = re.compile(r"^\s*# task: ([\w-]+)\s*$", re.MULTILINE)
# What no cell begins with, unless it is the rest of another; what none ends with.
_REST = re.compile(r"[ \t)\]}]|(?:else|elif|except|finally)\b")
_UNFINISHED = re.compile(r"[(\[{,:\\]\s*$")
_ATTACHMENT = re.compile(r"""\(attachment:([^)"]+?)\s*(?:"[^"]*"\s*)?\)""")
_LINKED = re.compile(r"""!\[[^\]]*\]\(\s*<?(?!attachment:|data:)([^)\s">]+)""")
_INLINE = re.compile(r"data:(image/[\w.+-]+);base64,([\w+/=%\s-]*)")
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")  # no scripts in them
_BEGINNINGS = {  # of files
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


@dataclass
class Submission:
    """What of a submitted notebook belongs where.

    ``solutions`` and ``texts`` hold what was found for each grade_id; ``extras`` are
    code cells of the student's own, by the place in the source that they follow (−1:
    the top). ``pictures`` are those of a text, as data URIs. ``remarks`` are for the
    report.
    """

    solutions: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, list[str]] = field(default_factory=dict)
    extras: dict[int, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def recognise(
    assignment: Assignment, release: NotebookNode, notebook: NotebookNode
) -> Submission:
    """Find the assignment's cells in a notebook that a student hands in.

    By grade_id; where that was lost, by the marker in the stub, by an unchanged text
    or, for a solution, by the names that it defines, for an answer by the text above. A
    solution that was split into several cells is put together. Text cells of the
    student's own, from an answer to the next given cell, belong to the answer, as do
    those right above it, and pictures that code cells of the student's own show there.

    Parameters
    ----------
    assignment : the source
    release : what students were given, cell for cell that of the source
    notebook : what came back
    """
    places = places_of(assignment, release, notebook.cells)
    submission = Submission()
    found: dict[int, list[str]] = defaultdict(list)
    cells: dict[int, list[NotebookNode]] = defaultdict(list)
    pieces: dict[int, int] = defaultdict(int)
    anchor = above = -1  # the last place; that of the cell above, if it has one
    nameless = 0
    belongs = answers_of(assignment, places)
    for cell, place, answer in zip(notebook.cells, places, belongs, strict=True):
        if not (cell.source.strip() or cell.get("attachments")) and place is None:
            continue
        what = kind(assignment.cells[above]) if above >= 0 else ""
        if (
            what == "solution"
            and place in (above, None)
            and cell.cell_type == "code"
            and goes_on(found[above][-1], cell.source)
        ):
            found[above][-1] += "\n" + cell.source
            pieces[above] += 1
        elif place is not None:
            anchor = above = place
            nameless += bool(grade_id(assignment.cells[place]) and not grade_id(cell))
            found[place].append(cell.source)
            cells[place].append(cell)
        elif cell.cell_type == "code":
            above = -1
            submission.extras.setdefault(anchor, []).append(cell.source)
            if answer is not None:
                cells[answer].append(cell)
        elif answer is not None:
            found[answer].append(cell.source)
            cells[answer].append(cell)
            pieces[answer] += 1
    for place, number in sorted(pieces.items()):
        name = grade_id(assignment.cells[place])
        submission.remarks.append(
            f"{name} was in {number + 1} cells, one below the other; put together"
        )
    if nameless:
        submission.remarks.append(
            f"metadata lost in {nameless} cell(s); recognized by what is in them"
        )
    for place, (source, given) in enumerate(
        zip(assignment.cells, release.cells, strict=True)
    ):
        name, what = grade_id(source), kind(source)
        own = [text for text in found[place] if essence(text) != essence(given.source)]
        if what == "test":
            if not found[place]:
                submission.remarks.append(f"test {name} was deleted; put back")
            elif own and essence(source.source) not in map(essence, own):
                submission.remarks.append(f"test {name} was changed; put back")
        elif what == "solution":
            submission.solutions[name] = own or found[place][:1]
            if not found[place]:
                submission.remarks.append(f"no cell was found for {name}")
            if len(own) > 1:
                submission.remarks.append(f"{name} is there {len(own)} times; all ran")
        elif what == "answer":
            shown, problems = pictures_of(cells[place])
            text = _INLINE.sub("picture", "\n\n".join(own))
            submission.texts[name] = text or ("(pictures)" if shown else "")
            submission.remarks += [f"{name}: {problem}" for problem in problems]
            if shown:
                submission.pictures[name] = shown
            if not found[place]:
                submission.remarks.append(f"no cell was found for {name}")
        elif source.cell_type == "code" and own:
            # Perhaps an import that the solution needs. It runs before ours, so that
            # data and parameters stay what they were.
            submission.extras.setdefault(place - 1, []).extend(own)
    return submission


def goes_on(above: str, below: str) -> bool:
    r"""Say whether a code cell is the rest of the one above it, which was split.

    By their looks: to compile what a student wrote can crash Python.

    Examples
    --------
    >>> goes_on("def f(x):\n    y = x", "    return y"), goes_on("x = 1", "y = 2")
    (True, False)
    """
    codes = [
        [line for line in text.split("\n") if line.strip() and line.strip()[0] != "#"]
        for text in (above, below)
    ]
    if not all(codes):
        return False
    (*_, last), (first, *_) = codes
    last = re.sub(r"\s#.*$", "", last)
    return bool(_REST.match(first) or _UNFINISHED.search(last))


def answers_of(assignment: Assignment, places: list[int | None]) -> list[int | None]:
    """Return, for each submitted cell, the answer that it belongs to if it is text."""
    own: list[int | None] = []
    last = None
    for place in places:
        if place is not None:
            last = place if kind(assignment.cells[place]) == "answer" else None
        own.append(last)
    following = None
    for number in reversed(range(len(places))):
        place = places[number]
        if place is not None:
            following = place if kind(assignment.cells[place]) == "answer" else None
        elif own[number] is None:
            own[number] = following
    return own


def picture_kind(content: bytes) -> str | None:
    r"""Return the kind of a picture that a page can show, by its first bytes, or None.

    Examples
    --------
    >>> picture_kind(b"\xff\xd8\xff\xe0"), picture_kind(b"<svg>")
    ('image/jpeg', None)
    """
    for beginning, kind_of in _BEGINNINGS.items():
        if content.startswith(beginning):
            return kind_of
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return "image/webp" if webp else None


def data_uri(kind_of: str, content: bytes) -> str:
    """Return a picture as an address that holds all of it."""
    return f"data:{kind_of};base64,{base64.b64encode(content).decode()}"


def pictures_of(cells: list[NotebookNode]) -> tuple[list[str], list[str]]:
    """Return the pictures in text cells as data URIs, and what is wrong with others."""
    shown: dict[str, None] = {}
    problems = []
    for cell in cells:
        attached = dict(attachments_of(cell))
        for name in dict.fromkeys(_ATTACHMENT.findall(cell.source)):
            if name not in attached and unquote(name) not in attached:
                problems.append(f"the picture {name[:100]} is not in the notebook")
        if cell.cell_type != "code":
            for name in dict.fromkeys(_LINKED.findall(cell.source)):
                problems.append(f"the picture {name[:100]} is not in the notebook")
        inline = _INLINE.findall(cell.source)
        for kind_of, content in [*attached.values(), *inline, *displayed_by(cell)]:
            try:
                data = base64.b64decode("".join(content.split()), validate=True)
            except (binascii.Error, ValueError):
                data = b""
            known = kind_of if kind_of in SHOWN else picture_kind(data)
            if data and known:
                shown[data_uri(known, data)] = None
            else:
                problems.append(f"a picture cannot be shown ({kind_of[:100]})")
    return list(shown), problems


def displayed_by(cell: NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield the kind and the Base64 of pictures that a code cell shows."""
    outputs: Any = cell.get("outputs", [])
    for output in outputs if isinstance(outputs, list) else ():
        data = output.get("data", {}) if isinstance(output, dict) else {}
        for kind_of, content in data.items() if isinstance(data, dict) else ():
            if kind_of in SHOWN:
                joined = isinstance(content, list)
                yield kind_of, "".join(map(str, content)) if joined else str(content)


def attachments_of(cell: NotebookNode) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the name, the kind and the Base64 of what is attached to a text cell."""
    attached: Any = cell.get("attachments", {})
    for name, bundle in attached.items() if isinstance(attached, dict) else ():
        for kind_of, content in bundle.items() if isinstance(bundle, dict) else ():
            text = "".join(map(str, content)) if isinstance(content, list) else content
            yield name, (str(kind_of), str(text))


def places_of(
    assignment: Assignment, release: NotebookNode, cells: list[NotebookNode]
) -> list[int | None]:
    """Return each submitted cell's place in the source, None for the student's own."""
    by_name = {n: i for i, c in enumerate(assignment.cells) if (n := grade_id(c))}
    by_text = {
        (cell.cell_type, essence(cell.source)): place
        for version in (assignment.cells, release.cells)
        for place, cell in enumerate(version)
        if kind(cell) != "answer"  # all of them say "Your answer here"
    }
    places: list[int | None] = []
    for cell in cells:
        marker = _MARKER.search(cell.source)
        names = (grade_id(cell), marker[1] if marker else "")
        known = [by_name[name] for name in names if name in by_name]
        text = by_text.get((cell.cell_type, essence(cell.source)))
        places.append(known[0] if known else text)
    for name, solution in assignment.solutions.items():
        if by_name[name] not in places:
            wanted = bound_names(solution.source)
            scores = [
                len(wanted & bound_names(cell.source)) if place is None else 0
                for cell, place in zip(cells, places, strict=True)
            ]
            if max(scores, default=0) > 0:
                last = max(i for i, s in enumerate(scores) if s == max(scores))
                places[last] = by_name[name]
    for name in assignment.answers:
        if by_name[name] - 1 in places and by_name[name] not in places:
            below = places.index(by_name[name] - 1) + 1
            if below < len(cells) and places[below] is None:
                places[below] = by_name[name]
    return places


def script(assignment: Assignment, submission: Submission) -> list[dict[str, Any]]:
    """Return the code to run: the course's cells, the student's at their places.

    Each is a dict with ``kind`` (given, student or test), ``name`` (grade_id or ''),
    ``source`` and, of given cells, ``skip``: whether no test needs it.
    """

    def extras(place: int) -> list[dict[str, Any]]:
        sources = submission.extras.get(place, [])
        return [{"kind": "student", "name": "", "source": text} for text in sources]

    cells = extras(-1)
    for place, cell in enumerate(assignment.cells):
        name, what = grade_id(cell), kind(cell)
        if what == "solution":
            cells += [
                {"kind": "student", "name": name, "source": source}
                for source in submission.solutions.get(name, [])
            ]
        elif cell.cell_type == "code":
            skip = bool(cell.metadata.get("course", {}).get("skip"))
            entry = {"kind": what, "name": name, "source": cell.source}
            cells.append(entry | ({"skip": True} if skip else {}))
        cells += extras(place)
    return cells
