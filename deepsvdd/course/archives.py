"""What is in a download: files in folders, and in zips, without running anything."""

from __future__ import annotations

import contextlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deepsvdd.course.tables import nfc

LARGEST_FILE = 64 * 10**6  # bytes of what is taken out of a zip
LARGEST_TOTAL = 8 * 10**9
MOST_FILES = 50_000
DEEPEST = 3  # zips within zips
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp"}
# What is taken out of a zip; of all other files, the name will do.
READ = {".ipynb", ".txt", ".zip", *PICTURES}
_BROKEN = (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error)


@dataclass(frozen=True)
class Entry:
    """A file of a download.

    Parameters
    ----------
    parts : its place, a name for each folder, zip and file
    path : where to read it; None if it is not needed, or there is a problem
    modified : seconds since 1970, as far as the zip or the folder knows
    problem : why it cannot be read, or ''
    """

    parts: tuple[str, ...]
    path: Path | None
    modified: float = 0.0
    problem: str = ""


def entries(download: Path, into: Path) -> list[Entry]:
    """Return the files of a folder or a zip, and those in the zips there.

    Parameters
    ----------
    download : the folder or zip
    into : an empty folder, for what is taken out of zips

    Raises
    ------
    ValueError
        If zips hold more than any course hands in.
    """
    unpacker = Unpacker(into)
    if not download.is_dir():
        return list(unpacker.members(download, (nfc(download.name),)))
    return list(unpacker.files(download))


@dataclass
class Unpacker:
    """Takes files out of zips, and counts how many and how much."""

    into: Path
    files_taken: int = 0
    bytes_taken: int = 0

    def files(self, folder: Path) -> Iterator[Entry]:
        """Yield what is in a folder."""
        for path in sorted(folder.rglob("*")):
            parts = tuple(nfc(part) for part in path.relative_to(folder).parts)
            if is_hidden(parts):
                continue
            if path.is_symlink():
                yield Entry(parts, None, problem=f"'{parts[-1]}' is a link, no file")
            elif path.is_file() and path.suffix.lower() == ".zip":
                yield from self.members(path, parts)
            elif path.is_file():
                yield Entry(parts, path, path.stat().st_mtime)

    def members(
        self, archive: Path, parts: tuple[str, ...], depth: int = 1
    ) -> Iterator[Entry]:
        """Yield what is in a zip; `parts` is its own place."""
        try:
            with zipfile.ZipFile(archive) as opened:
                for member in opened.infolist():
                    inner = parts_of(member)
                    if member.is_dir() or is_hidden(inner) or not inner:
                        continue
                    entry = self.member(opened, member, (*parts, *inner))
                    nested = inner[-1].lower().endswith(".zip")
                    if nested and entry.path and depth < DEEPEST:
                        yield from self.members(entry.path, entry.parts, depth + 1)
                    else:
                        yield entry
        except (*_BROKEN, OSError) as error:
            reason = str(error) or type(error).__name__
            yield Entry(
                parts, None, problem=f"'{parts[-1]}' is no readable zip: {reason}"
            )

    def member(
        self, opened: zipfile.ZipFile, member: zipfile.ZipInfo, parts: tuple[str, ...]
    ) -> Entry:
        """Take a file out of a zip, if it is one to read."""
        self.files_taken += 1
        if self.files_taken > MOST_FILES:
            raise ValueError(
                f"zips must hold at most {MOST_FILES} files, but have more"
            )
        modified = timestamp(member)
        if stat.S_ISLNK(member.external_attr >> 16):
            return Entry(parts, None, modified, f"'{parts[-1]}' is a link, no file")
        if Path(parts[-1]).suffix.lower() not in READ:
            return Entry(parts, None, modified)
        try:
            with opened.open(member) as source:
                content = source.read(LARGEST_FILE + 1)
        except _BROKEN as error:
            reason = str(error) or type(error).__name__
            return Entry(parts, None, modified, f"'{parts[-1]}' is damaged: {reason}")
        if len(content) > LARGEST_FILE:
            return Entry(parts, None, modified, f"'{parts[-1]}' is larger than 64 MB")
        self.bytes_taken += len(content)
        if self.bytes_taken > LARGEST_TOTAL:
            raise ValueError(
                f"zips must hold at most {LARGEST_TOTAL // 10**9} GB to read"
            )
        # The name stays, for it is shown, but for what file systems do not take.
        name = re.sub(r'[\x00-\x1f<>:"|?*\\]', "_", parts[-1])[-100:]
        path = self.into / str(self.files_taken) / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return Entry(parts, path, modified)


def parts_of(member: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return a member's place in its zip, without steps out of it.

    Many programs write names in UTF-8 and do not say so.
    """
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    parts = nfc(name.replace("\\", "/")).split("/")
    return tuple(part for part in parts if part not in ("", ".", ".."))


def timestamp(member: zipfile.ZipInfo) -> float:
    """Return when a member was changed, in seconds since 1970."""
    try:
        return datetime(*member.date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def is_hidden(parts: tuple[str, ...]) -> bool:
    """Say whether a path is one that operating systems and Jupyter leave behind."""
    return any(part.startswith((".", "__MACOSX")) for part in parts)
