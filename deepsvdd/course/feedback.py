"""Write marks down: a table for the instructor, a page for each student."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from deepsvdd.course.batch import Found
from deepsvdd.course.grade import Result
from deepsvdd.course.source import Assignment
from deepsvdd.files import write_text

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: {{ result.student }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8888; padding: .4rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th, td.points { white-space: nowrap; }
blockquote { border-left: 3px solid #8888; margin-left: 0; padding-left: 1rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
<p>{{ result.student }}, {{ result.file }}</p>
<p><strong>{{ points(result.total) }} of {{ points(full) }} points</strong> from
tests{% if pending %}; up to {{ points(pending) }} more for texts, which a person
marks{% endif %}.</p>
<h2>Tests</h2>
<table>
<thead><tr><th scope="col">Task</th><th scope="col">Test</th>
<th scope="col">Points</th><th scope="col">What happened</th></tr></thead>
<tbody>
{% for name, mark in result.marks.items() -%}
<tr><td>{{ headings[name] }}</td><td>{{ name }}</td>
<td class="points">{{ points(mark.earned) }} of {{ points(worth[name]) }}</td>
<td>{{ mark.status | capitalize }}.
{{ mark.message }}</td></tr>
{% endfor -%}
</tbody>
</table>
{% if result.answered %}
<h2>Texts</h2>
{% for name, text in result.answered.items() %}
<h3>{{ headings[name] }} ({{ points(worth[name]) }} points)</h3>
{% if text %}<blockquote>{{ text }}</blockquote>
{% else %}<p>No text was found.</p>{% endif %}
{% for picture in result.pictures.get(name, []) -%}
<p><img src="{{ picture }}" alt="Picture {{ loop.index }} of the text"></p>
{% endfor -%}
{% endfor %}
{% endif %}
{% if result.remarks %}
<h2>Remarks</h2>
<ul>
{% for remark in result.remarks %}<li>{{ remark }}</li>
{% endfor %}</ul>
{% endif %}
</main>
</body>
</html>
"""


def page(assignment: Assignment, result: Result) -> str:
    """Return a student's page: one file, which asks nothing of any server."""
    from jinja2 import Environment

    # Everything a submission brought along is escaped.
    template = Environment(autoescape=True).from_string(PAGE)
    return template.render(
        title=assignment.title,
        result=result,
        full=sum(assignment.points[name] for name in assignment.tests),
        pending=pending(assignment, result),
        headings={n: task_of(text) for n, text in assignment.headings.items()},
        worth=assignment.points,
        points=lambda number: f"{number:g}",
    )


def task_of(heading: str) -> str:
    """Return a heading without its points, which the page says in its own way.

    Examples
    --------
    >>> task_of("Task 7: the score (3 points)")
    'Task 7: the score'
    """
    return re.sub(r" *\([\d.]+ points?\)$", "", heading)


def pending(assignment: Assignment, result: Result) -> float:
    """Return the points that a person has still to give or refuse."""
    written = (name for name, text in result.answered.items() if text.strip())
    return sum(assignment.points[name] for name in written)


def table(assignment: Assignment, results: list[Result]) -> str:
    """Return the marks as CSV: a row for each student, a column for each task.

    Columns of texts are empty, to be filled in, or 0 where there is no text.
    """
    columns = [f"{name} ({points:g})" for name, points in assignment.points.items()]
    full = sum(assignment.points[name] for name in assignment.tests)
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    header = ["student", "file", *columns, f"tests ({full:g})", "pending", "remarks"]
    writer.writerow(header)
    for result in results:
        cells = [cell_of(result, name) for name in assignment.points]
        total, open_points = f"{result.total:g}", f"{pending(assignment, result):g}"
        row = [result.student, result.file, *cells, total, open_points]
        writer.writerow(map(harmless, [*row, "; ".join(result.remarks)]))
    return output.getvalue()


def cell_of(result: Result, name: str) -> str:
    """Return what the table says of one test or text."""
    if name in result.marks:
        return f"{result.marks[name].earned:g}"
    return "" if result.answered.get(name, "").strip() else "0"


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    one_line = " ".join(text.split())
    return f"'{one_line}" if one_line.startswith(("=", "+", "-", "@")) else one_line


def write(
    out: Path,
    assignments: list[Assignment],
    results: list[Result],
    unknown: list[Found],
) -> list[Path]:
    """Write ``NAME.csv`` and ``NAME/STUDENT.html`` for each assignment.

    Returns
    -------
    The tables written.
    """
    tables: dict[str, str] = {}
    for assignment in assignments:
        own = [result for result in results if result.assignment == assignment.name]
        if not own:
            continue
        tables[f"{assignment.name}.csv"] = table(assignment, own)
        names: set[str] = set()
        for result in own:
            path = out / assignment.name / f"{file_name(result.student, names)}.html"
            write_text(path, page(assignment, result))
    if unknown:
        rows: list[list[Any]] = [["file", "problem"]]
        rows += [[harmless(f.path.name), harmless(f.problem)] for f in unknown]
        output = io.StringIO()
        csv.writer(output, lineterminator="\n").writerows(rows)
        tables["unknown.csv"] = output.getvalue()
    for name, text in tables.items():
        write_text(out / name, text, "utf-8-sig")  # else Excel spoils accents
    return [out / name for name in tables]


def file_name(student: str, taken: set[str]) -> str:
    """Return a name that any file system takes, and note it in `taken`."""
    plain = re.sub(r"[^\w.-]+", "-", student).strip("-.")[:80] or "unnamed"
    number = 1
    name = plain
    while name.lower() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.lower())
    return name
