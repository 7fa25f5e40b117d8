"""A download of a learning platform, read as what it is: who handed in which file.

Each platform writes ids and names into the names of folders and files. The id is the
identity, the name is a label. A folder without ids is read by its names: a folder or a
file for each student.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from deepsvdd.course.archives import Entry, entries
from deepsvdd.course.tables import decoded, nfc

# Moodle, mod/assign/classes/downloader.php: FULLNAME_ID_assignsubmission_file/FILE,
# where ID is the participant's, not the user's, and a team has its group's name and id;
# before 4.1 "_" at the folder's end; with "download in folders" off, and before 3.1,
# FULLNAME_ID_assignsubmission_file_FILE. Online text is onlinetext.html. All files have
# the time of the download (files/classes/local/archive_writer/zip_writer.php).
_MOODLE = re.compile(
    r"(?P<name>.+?)(?:_(?P<id>\d+))?_assignsubmission_[a-z]+(?:_(?P<file>.*))?",
    re.DOTALL,
)
# Canvas, lib/content_zipper.rb: NAME_LATE_USER_ATTACHMENT_FILE, NAME in small letters
# and without spaces, LATE only of what was; anon_ID instead of name and user where
# marking is anonymous; NAME_LATE_USER_text.html and _link.html for what is no file.
# All files have the time of the download, but later ones have larger attachment ids.
_CANVAS = re.compile(
    r"(?:(?P<name>\w+?)_(?:(?P<late>LATE)_)?(?P<id>\d+)"
    r"|(?:(?P<overdue>LATE)_)?(?P<anonymous>anon_[A-Za-z0-9]+))"
    r"_(?:(?P<attachment>\d+)_(?P<file>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
# Blackboard, as the tools that sort its downloads describe it (kwurst/bb-file-cleanup,
# jeroendoggen/blackboard-analysis-tools, nbgrader's zip_collect):
# COLUMN_USERNAME_attempt_YYYY-MM-DD-HH-MM-SS_FILE, and without _FILE a receipt (.txt)
# for each attempt, which begins with "Name: Jane Doe (jdoe)". Both words are
# translated, as in "Naam:" and "poging".
_BLACKBOARD = re.compile(
    r"(?P<head>.+)_[^\W\d_]+_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)",
    re.DOTALL,
)
_RECEIPT = re.compile(r"\s*[^\W\d_]+:[ \t]*(?P<name>\S.*?)[ \t]*\((?P<id>[^()\s]+)\)")
_NOTHING = (
    "There are no student comments for this assignment",
    "There is no student submission text data for this assignment",
)
# Google Drive, where Classroom keeps what was handed in, makes zips of a folder:
# FOLDER-YYYYMMDDTHHMMSSZ-001.zip, each with FOLDER inside. A copy made for a student is
# "NAME - TITLE"; there are no ids (what tumregels/classroom-downloader fetches).
_DRIVE = re.compile(r".+-\d{8}T\d{6}Z(?:-\d+)+\.zip", re.DOTALL)
_COPY = re.compile(r"^(copy of|kopie von|copie de|copia de) ", re.IGNORECASE)
_NUMBERED = re.compile(r"\s*(?:\(\d+\)|-\d)$")
# What students call several files of their own.
_VERSION = re.compile(
    r"v?\d*|(?:final|draft|copy|new|old|mine|my|corrected|solution|submission|answers?"
    r"|version|homework|hw|untitled|attempt|try|part|task|week|work|notebook)\W*\d*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Upload:
    """A file that somebody handed in.

    Parameters
    ----------
    parts : its place in the download, a name for each folder, zip and file
    path : where to read it, or None
    layout : moodle, canvas, blackboard, or folder, which has no ids
    id, name : the platform's id of the person, '' if it gives none, and a label
    nameless : whether nothing tells the person; `name` is then that of the file
    late : 'yes', 'no', or '' where the platform does not say
    submitted : when, 'YYYY-MM-DD HH:MM:SS', or ''
    age : seconds or a platform's number; larger is newer, among a person's files
    problem : why it cannot be read
    receipt : whether the platform wrote it, and not the person
    """

    parts: tuple[str, ...]
    path: Path | None
    layout: str = "folder"
    id: str = ""
    name: str = ""
    nameless: bool = False
    late: str = ""
    submitted: str = ""
    age: float = 0.0
    problem: str = ""
    receipt: bool = False

    @property
    def file(self) -> str:
        """The name of the file, with what the platform put before it."""
        return self.parts[-1]

    @property
    def person(self) -> str:
        """The identity: the id where there is one, else the name."""
        return f"{self.layout}:{self.id}" if self.id else f"name:{self.name}"


def uploads(download: Path, into: Path, assignments: list[str]) -> list[Upload]:
    """Read a download.

    Parameters
    ----------
    download : folder or zip, as the platform made it; a folder may hold several
    into : an empty folder, for what is taken out of zips
    assignments : their names, which names of files and folders may hold

    Raises
    ------
    ValueError
        If zips hold more than any course hands in.
    """
    found, rest = [], []
    for entry in entries(download, into):
        upload = of_moodle(entry) or of_blackboard(entry) or of_canvas(entry)
        if upload is None:
            rest.append(entry)
        else:
            found.append(upload)
    strange = two_names(found)
    rest += [Entry(u.parts, u.path, u.age, u.problem) for u in strange]
    found = [upload for upload in found if upload not in strange]
    return blackboard_people(found) + by_names(rest, assignments)


# --- platforms with ids -----------------------------------------------------------


def matched(pattern: re.Pattern[str], entry: Entry) -> re.Match[str] | None:
    """Return what a platform wrote into the name of a folder, a zip or the file."""
    return next(filter(None, map(pattern.fullmatch, entry.parts)), None)


def of_moodle(entry: Entry) -> Upload | None:
    """Read a file of Moodle's download, or return None.

    Examples
    --------
    >>> upload = of_moodle(Entry(("Jo Doe_12_assignsubmission_file", "a.ipynb"), None))
    >>> upload.id, upload.name
    ('12', 'Jo Doe')
    """
    match = matched(_MOODLE, entry)
    return match and Upload(
        entry.parts,
        entry.path,
        "moodle",
        match["id"] or "",
        match["name"],
        age=entry.modified,
        problem=entry.problem,
        receipt=entry.parts[-1].endswith("onlinetext.html"),
    )


def of_canvas(entry: Entry) -> Upload | None:
    """Read a file of Canvas's download, or return None.

    Examples
    --------
    >>> upload = of_canvas(Entry(("doejo_LATE_12_345_a.ipynb",), None))
    >>> upload.id, upload.name, upload.late, upload.age
    ('12', 'doejo', 'yes', 345.0)
    """
    match = matched(_CANVAS, entry)
    return match and Upload(
        entry.parts,
        entry.path,
        "canvas",
        match["id"] or match["anonymous"],
        match["name"] or match["anonymous"],
        late="yes" if match["late"] or match["overdue"] else "no",
        age=float(match["attachment"] or 0),
        problem=entry.problem,
    )


def of_blackboard(entry: Entry) -> Upload | None:
    """Read a file of Blackboard's download, or return None.

    Examples
    --------
    >>> name = "Metrics_jdoe_attempt_2026-11-02-14-03-20_a.ipynb"
    >>> upload = of_blackboard(Entry((name,), None))
    >>> upload.id, upload.submitted
    ('jdoe', '2026-11-02 14:03:20')
    """
    match = matched(_BLACKBOARD, entry)
    if match is None:
        return None
    time = match["time"]
    return Upload(
        entry.parts,
        entry.path,
        "blackboard",
        match["head"].rpartition("_")[2],
        match["head"],
        submitted=f"{time[:10]} {time[11:].replace('-', ':')}",
        age=float(time.replace("-", "")),
        problem=entry.problem,
        receipt=match["file"] is None,
    )


def two_names(found: list[Upload]) -> list[Upload]:
    """Return what only looks like Canvas's: there one id never has two names."""
    names = defaultdict(set)
    for upload in found:
        if upload.layout == "canvas":
            names[upload.id].add(upload.name)
    return [u for u in found if u.layout == "canvas" and len(names[u.id]) > 1]


def blackboard_people(found: list[Upload]) -> list[Upload]:
    """Return the uploads with user names and names from Blackboard's receipts.

    Receipts that say no more are left out, where there is a file. Both the column's
    name and the user's may have "_" in them: without a receipt, two heads that end
    alike are two people.
    """
    receipts = {}
    ends = defaultdict(set)
    heads = [u.name for u in found if u.layout == "blackboard" and not u.receipt]
    for upload in found:
        if upload.layout != "blackboard":
            continue
        ends[upload.id].add(upload.name)
        if upload.receipt and upload.path is not None:
            text = decoded(upload.path.read_bytes()[:4096])
            match = _RECEIPT.match(text)
            if match and upload.name.endswith(f"_{match['id']}"):
                receipts[upload.name] = (nfc(match["id"]), nfc(match["name"]))
            if upload.name in heads and all(words in text for words in _NOTHING):
                found = [other for other in found if other is not upload]
    named = []
    for upload in found:
        if upload.layout == "blackboard":
            head = upload.name
            end = head if len(ends[upload.id]) > 1 else upload.id
            number, name = receipts.get(head, (end, end))
            named.append(replace(upload, id=number, name=name))
        else:
            named.append(upload)
    return named


# --- folders without ids ----------------------------------------------------------


def by_names(plain: list[Entry], assignments: list[str]) -> list[Upload]:
    """Read files whose folders or names tell the person.

    A folder belongs to one student, unless what is in it has the names of several.
    """
    shared = shared_folders(plain, assignments)
    found = []
    for entry in plain:
        depth = 0
        while entry.parts[: depth + 1] in shared:
            depth += 1
        if depth < len(entry.parts) - 1:
            name = student_of(entry.parts[depth], assignments) or entry.parts[depth]
        else:
            name = student_of(Path(entry.parts[-1]).stem, assignments)
        found.append(
            Upload(
                entry.parts,
                entry.path,
                name=name or Path(entry.parts[-1]).stem,
                nameless=not name,
                age=entry.modified,
                problem=entry.problem,
            )
        )
    return found


def shared_folders(plain: list[Entry], assignments: list[str]) -> set[tuple[str, ...]]:
    """Return the folders and zips that are a class's, and not a student's.

    In doubt two people are not made one.
    """
    children: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for entry in plain:
        if entry.parts[-1].lower().endswith(".ipynb"):
            for depth in range(len(entry.parts)):
                children[entry.parts[:depth]].add(entry.parts[depth])
    own = {name.casefold() for name in assignments}
    shared: set[tuple[str, ...]] = set()
    every_one = {
        entry.parts[:depth] for entry in plain for depth in range(1, len(entry.parts))
    }
    for folder in sorted(every_one, key=len):
        if len(folder) > 1 and folder[:-1] not in shared:
            continue
        folders = {name for name in children[folder] if (*folder, name) in children}
        files = children[folder] - folders
        named = {name for name in files if names_both(name, assignments)}
        alone = len(children[folder[:-1]]) == 1
        if (
            folder[-1].casefold() in own
            or any(_DRIVE.fullmatch(part) for part in folder[-2:])
            or len(people(folders, assignments)) > 1
            or len(people(named, assignments)) > 1
            or (alone and len(people(folders | files, assignments)) > 1)
        ):
            shared.add(folder)
    return shared


def people(names: set[str], assignments: list[str]) -> set[str]:
    """Return the students whom names of files and folders tell."""
    students = {student_of(name, assignments) for name in names}
    return {student for student in students if not _VERSION.fullmatch(student)}


def names_both(name: str, assignments: list[str]) -> bool:
    """Say whether a name is of the form student and assignment, or NAME - TITLE."""
    folded = name.casefold()
    return " - " in name or any(each.casefold() in folded for each in assignments)


def student_of(name: str, assignments: list[str]) -> str:
    """Return the student that the name of a file or folder tells, or ''.

    Examples
    --------
    >>> student_of("jane-doe-1-metrics (1).ipynb", ["1-metrics"])
    'jane-doe'
    >>> student_of("Jane Doe - Homework.ipynb", ["1-metrics"])
    'Jane Doe'
    >>> student_of("1-metrics.ipynb", ["1-metrics"])
    ''
    """
    stem = name
    for suffix in (".ipynb", ".zip"):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    stem = _COPY.sub("", stem)
    for assignment in sorted(assignments, key=len, reverse=True):
        sides = re.split(re.escape(assignment), stem, maxsplit=1, flags=re.IGNORECASE)
        if len(sides) > 1:
            parts = (_NUMBERED.sub("", f" {side}").strip(" _-.") for side in sides)
            return next((part for part in parts if part), "")
    before, dash, _ = stem.partition(" - ")
    return (before if dash else stem).strip(" _")
