"""Tables as spreadsheets and learning platforms write them, and as they read them."""

from __future__ import annotations

import contextlib
import csv
import io
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LARGEST = 64 * 10**6  # bytes of a table
SEPARATORS = ",;\t"


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read a CSV file, whatever program saved it.

    Spreadsheets save with commas, semicolons or tabs, in UTF-8, UTF-16 or the code
    page of Windows.

    Returns
    -------
    header : the names of columns, without spaces around them
    rows : as many cells as the header has; empty rows are left out

    Raises
    ------
    ValueError
        If the file is empty, too large or no text, or a row has too many cells.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"'{path}' is larger than 64 MB, and no table of a course")
    text = decoded(path.read_bytes())
    if "\0" in text:
        raise ValueError(f"'{path}' must be a table saved as CSV, but it is no text")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"'{path}' is no readable CSV: {error}") from None
    lines = [[nfc(cell).strip() for cell in line] for line in lines]
    lines = [line for line in lines if any(line)]
    if not lines:
        raise ValueError(f"'{path}' must have a row of column names, but it is empty")
    header, *rows = lines
    for row in rows:
        if any(row[len(header) :]):
            raise ValueError(
                f"'{path}' must have {len(header)} cells in a row, as its header has; "
                f"the row of '{row[0]}' has {len(row)}"
            )
        row[len(header) :] = [""] * (len(header) - len(row))
    return header, [row[: len(header)] for row in rows]


def decoded(content: bytes) -> str:
    """Return the text of a file: UTF-8 or UTF-16, else what Windows made of it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    with contextlib.suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig")
    return content.decode("cp1252", errors="replace")


def table_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV, with no cell that a spreadsheet takes for a formula."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerows([harmless(str(cell)) for cell in row] for row in rows)
    return output.getvalue()


def harmless(text: str) -> str:
    r"""Return a text on one line that no spreadsheet takes for a formula.

    Examples
    --------
    >>> harmless("=1+1"), harmless("-0.5"), harmless("two\nlines")
    ("'=1+1", '-0.5', 'two lines')
    """
    one_line = " ".join(text.split())
    if one_line.startswith(("=", "+", "-", "@")) and number_of(one_line) is None:
        return f"'{one_line}"
    return one_line


def number_of(text: str) -> float | None:
    """Return a number, with a point or a comma, or None.

    Examples
    --------
    >>> number_of("1,5"), number_of(" 2 "), number_of("two"), number_of("nan")
    (1.5, 2.0, None, None)
    """
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None  # also without NaN


def nfc(text: str) -> str:
    r"""Return a text in Unicode's composed form: one name is then one text.

    Examples
    --------
    >>> nfc("e\u0301") == "\xe9"
    True
    """
    return unicodedata.normalize("NFC", text)
