"""Marking without names: pseudonyms that stay, and a key that gives the names back.

Notebooks are graded as always; what a person gets to see (tables, pages, mark book,
report, copies of the notebooks) has pseudonyms. The key is a table of its own, for
somebody who does not mark: with it, the marks of the mark book find their students.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from deepsvdd.course.collection import Collection, Found, Notice, Person
from deepsvdd.course.grade import Result
from deepsvdd.course.markbook import Row
from deepsvdd.course.tables import read_table, table_text
from deepsvdd.files import write_text

LETTERS = "bcdfghjkmnpqrstvwxz23456789"  # nothing that reads as a word or as another
COLUMNS = ["pseudonym", "id", "student"]
SOMEBODY = "[name]"
LONG_ID = 4  # characters; shorter ids stand for other things in free text
KEPT = ("kernelspec", "language_info")  # of a notebook's metadata


class Key:
    """Who is who, in a table of its own.

    Parameters
    ----------
    path : the table; made if it is not there

    Raises
    ------
    ValueError
        If it is no key, or one pseudonym stands for two.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.people: dict[str, tuple[str, str]] = {}  # pseudonym → id, label
        if not path.exists():
            return
        header, rows = read_table(path)
        if header != COLUMNS:
            raise ValueError(
                f"'{path}' must be a key, with the columns {', '.join(COLUMNS)}; "
                f"it has {', '.join(header)[:200]}"
            )
        for pseudonym, number, label in rows:
            if pseudonym in self.people:
                raise ValueError(
                    f"'{path}' must have every pseudonym once, but '{pseudonym}' twice"
                )
            self.people[pseudonym] = number, label

    def pseudonyms(self, people: Iterable[Person]) -> dict[str, str]:
        """Return a pseudonym for each person's label; write down those that are new."""
        known = {who: pseudonym for pseudonym, who in self.people.items()}
        found: dict[str, str] = {}
        for person in sorted(people, key=lambda person: person.label):
            who = person.id, person.label
            if who not in known:
                known[who] = self.unused()
                self.people[known[who]] = who
            found[person.label] = known[who]
        # By pseudonym: the order of the table must not be that of the names.
        rows = [[name, *who] for name, who in sorted(self.people.items())]
        write_text(self.path, table_text([COLUMNS, *rows]))
        return found

    def unused(self) -> str:
        """Return a pseudonym that nobody has."""
        while True:
            pseudonym = "".join(secrets.choice(LETTERS) for _ in range(5))
            # A spreadsheet would read 3e4 as a number.
            if pseudonym not in self.people and pseudonym[0].isalpha():
                return pseudonym

    def reveal(self, rows: Iterable[Row]) -> list[Row]:
        """Return the mark book's rows with the people that pseudonyms stand for."""
        named = []
        for row in rows:
            number, label = self.people.get(row.student, (row.id, row.student))
            named.append(replace(row, id=number, student=label))
        return named


class Mask:
    """Takes a person's name out of texts.

    Parameters
    ----------
    person : whose name; forms of the roster's row as well
    pseudonym : what stands there instead
    others : of the class, whose full names go too
    """

    def __init__(self, person: Person, pseudonym: str, others: Iterable[str]) -> None:
        self.pseudonym = pseudonym
        own = [person.name, person.label.partition(" (")[0]]
        ids = [person.id]
        if person.row is not None:
            own.append(person.row.name)
            ids += list(person.row.ids.values())
        patterns = [pattern for name in own for pattern in patterns_of(name)]
        self.own = compiled(patterns)
        numbers = sorted(filter(None, set(ids)), key=len, reverse=True)
        self.ids = compiled(rf"(?<!\w){re.escape(number)}(?!\w)" for number in numbers)
        # In names of files and folders, ids and words of any length.
        short = [word for name in own for word in re.findall(r"\b[^\W\d_]{2}\b", name)]
        self.all_ids = compiled(
            rf"(?<![^\W_]){re.escape(each)}(?![^\W_])" for each in (*numbers, *short)
        )
        self.short = {number for number in numbers if len(number) < LONG_ID}
        self.others = compiled(
            pattern for name in others for pattern in patterns_of(name)[:2]
        )

    def __call__(self, text: str, files: bool = False) -> str:
        """Return a text without the name.

        Parameters
        ----------
        text : what may hold it
        files : whether it has names of files, in which ids of any length stand
        """
        text = self.own.sub(self.pseudonym, text)
        if files:
            text = self.all_ids.sub(self.pseudonym, text)
        else:
            text = self.ids.sub(
                lambda m: m[0] if m[0] in self.short else self.pseudonym, text
            )
        return self.others.sub(SOMEBODY, text)

    def tree(self, value: Any) -> Any:
        """Return JSON with all its texts masked."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list):
            return [self.tree(each) for each in value]
        if isinstance(value, dict):
            pictures = ("image/png", "image/jpeg", "image/gif", "image/webp")
            return {k: v if k in pictures else self.tree(v) for k, v in value.items()}
        return value


def patterns_of(name: str) -> list[str]:
    """Return what a name looks like in texts: in both orders first, then its words."""
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", name)
    if not words:
        return []
    if len(words) == 1:
        return [rf"(?<![^\W_]){re.escape(words[0])}(?![^\W_])"]
    gap = r"[\W_]*"
    orders = [words, [words[-1], *words[:-1]]]
    whole = [
        rf"(?<![^\W_]){gap.join(map(re.escape, order))}(?![^\W_])" for order in orders
    ]
    parts = []
    for word in map(re.escape, words):
        # Two letters may be a word of the text: only as a name, or in a path.
        first = "" if len(word) > 2 else rf"(?<=[/\\]){word}|(?-i:{word.title()})"
        parts.append(rf"(?<![^\W_])(?:{first or word})(?![^\W_])")
    return [*whole, *parts]


def compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return one pattern for all, which fits nothing if there are none."""
    return re.compile("|".join(dict.fromkeys(patterns)) or r"(?!)", re.IGNORECASE)


def anonymous(
    collection: Collection, results: list[Result], key: Key, class_: Iterable[str]
) -> tuple[Collection, list[Result], dict[str, Mask]]:
    """Return files, report and results under pseudonyms, and a mask for each.

    Parameters
    ----------
    collection : what was handed in
    results : their marks, or none of them
    key : gets the new pseudonyms
    class_ : names of all students
    """
    people = {file.student: file.person for file in collection.files}
    pseudonyms = key.pseudonyms(people.values())
    names = {person.name for person in people.values()} | set(class_)
    masks = {
        label: Mask(person, pseudonyms[label], sorted(names - {person.name}))
        for label, person in people.items()
    }
    hidden = Collection(
        sorted(
            (masked_file(file, masks[file.student]) for file in collection.files),
            key=lambda file: (file.assignment.name, file.student),
        ),
        [masked_notice(notice, masks) for notice in collection.report],
    )
    masked = [masked_result(result, masks[result.student]) for result in results]
    return hidden, masked, {mask.pseudonym: mask for mask in masks.values()}


def masked_file(file: Found, mask: Mask) -> Found:
    """Return what was handed in, without the name; `row` stays, for what is late."""
    name = mask.pseudonym
    person = replace(file.person, label=name, name=name, id="")
    remarks = tuple(mask(remark, files=True) for remark in file.remarks)
    problem = mask(file.problem, files=True)
    return replace(file, student=name, person=person, remarks=remarks, problem=problem)


def masked_result(result: Result, mask: Mask) -> Result:
    """Return marks without the name."""
    marks = {
        name: replace(mark, message=mask(mark.message))
        for name, mark in result.marks.items()
    }
    return replace(
        result,
        student=mask.pseudonym,
        file=f"{mask.pseudonym}{Path(result.file).suffix}",
        marks=marks,
        answered={name: mask(text) for name, text in result.answered.items()},
        remarks=[mask(remark, files=True) for remark in result.remarks],
    )


def masked_notice(notice: Notice, masks: dict[str, Mask]) -> Notice:
    """Return a line of the report without names; files keep their kind alone."""
    kind = Path(notice.file).suffix
    file = f"a file ({kind})" if kind else ""
    if notice.student in masks:
        mask = masks[notice.student]
        what = mask(notice.what, files=True)
        return Notice(mask.pseudonym, file, what, notice.doubt)
    return Notice("somebody", file, notice.what, notice.doubt)


def pictures_renamed(file: Found, folder: Path) -> Found:
    """Return a file whose pictures beside it have names that tell nobody."""
    copies = []
    for number, path in enumerate(file.pictures, 1):
        copy = folder / f"{file.student}-{file.assignment.name}-{number}{path.suffix}"
        shutil.copyfile(path, copy)
        copies.append(copy)
    return replace(file, pictures=tuple(copies))


def copies(files: Iterable[Found], masks: dict[str, Mask]) -> Iterator[tuple[str, str]]:
    """Yield names of files and notebooks without names, for a person to read."""
    for file in files:
        if file.notebook is not None:
            notebook = masked_notebook(file.notebook, masks[file.student])
            text = nbformat.writes(notebook) + "\n"
            yield f"{file.assignment.name}/{file.student}.ipynb", text


def masked_notebook(notebook: NotebookNode, mask: Mask) -> NotebookNode:
    """Return a notebook without names, and without what else tells who wrote it."""
    kept = {name: notebook.metadata[name] for name in KEPT if name in notebook.metadata}
    cells = mask.tree(notebook.cells)
    for cell, source in zip(cells, notebook.cells, strict=True):
        own = source.metadata
        cell["metadata"] = {k: own[k] for k in ("nbgrader", "tags") if k in own}
    whole = {"nbformat": notebook.nbformat, "nbformat_minor": notebook.nbformat_minor}
    return nbformat.from_dict(whole | {"metadata": mask.tree(kept), "cells": cells})
