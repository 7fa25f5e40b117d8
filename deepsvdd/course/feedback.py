"""Write marks down: a table for the instructor, a page for each student."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from deepsvdd.course.collection import Found, Notice
from deepsvdd.course.markbook import Final
from deepsvdd.course.source import Assignment
from deepsvdd.course.submission import data_uri, picture_kind
from deepsvdd.course.tables import table_text
from deepsvdd.files import sha256_of, write_text

LARGEST_PICTURE = 8 * 10**6  # bytes of a file that was handed in beside a notebook
MOST_PICTURES = 20
WRITTEN = ".results/written.json"  # what the tables were when they were written

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}: {{ name }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8888; padding: .4rem .6rem; text-align: left;
  vertical-align: top; }
td:last-child { overflow-wrap: anywhere; }
td.points { white-space: nowrap; }
@media (max-width: 30rem) {
  body { padding: 0 .5rem; }
  th, td { padding: .4rem .5rem .4rem 0; }
}
blockquote { border-left: 3px solid #8888; margin-left: 0; padding-left: 1rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
blockquote.comment { border-color: currentcolor; }
img { max-width: 100%; }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
<p>{{ name }}, {{ result.file }}</p>
{% if pending -%}
<p><strong>{{ points(final.total(tests)) }} of {{ points(full(tests)) }}
points</strong> from tests{% if texts %},
{{ points(final.total(texts)) }} of {{ points(full(texts)) }} from texts{% endif %};
up to {{ points(pending) }} more for texts, which a person marks.</p>
{% else -%}
<p><strong>{{ points(final.total()) }} of {{ points(full(worth)) }} points</strong>:
{{ points(final.total(tests)) }} of {{ points(full(tests)) }} from tests{% if texts %},
{{ points(final.total(texts)) }} of {{ points(full(texts)) }} from texts{% endif %}.</p>
{% endif -%}
{% if final.days_late -%}
<p>{{ final.days_late }} day{{ "s" if final.days_late > 1 }} late:
{{ points(final.deduction) }} points are taken off, and
<strong>{{ points(final.mark) }}</strong> remain{% if pending %} so far{% endif %}.</p>
{% endif -%}
{% if comments[""] %}<blockquote class="comment">{{ comments[""] }}
</blockquote>{% endif %}
<h2>Tests</h2>
<table>
<thead><tr><th scope="col">Task</th><th scope="col">Test</th>
<th scope="col">Points</th><th scope="col">What happened</th></tr></thead>
<tbody>
{% for name, mark in result.marks.items() -%}
<tr><td>{{ headings[name] }}</td><td>{{ name }}</td>
<td class="points">{{ points(final.points[name]) }} of {{ points(worth[name]) }}</td>
<td>{% if name in final.typed %}Points given by a person; the test alone:
{{ points(mark.earned) }}.
{% endif %}{{ mark.status | capitalize }}.
{{ mark.message }}</td></tr>
{% endfor -%}
</tbody>
</table>
{% if result.answered %}
<h2>Texts</h2>
{% for name, text in result.answered.items() %}
<h3>{{ headings[name] }}
({% if final.points[name] is not none %}{{ points(final.points[name]) }} of
{% endif %}{{ points(worth[name]) }} points)</h3>
{% if text %}<blockquote>{{ text }}</blockquote>
{% else %}<p>No text was found.</p>{% endif %}
{% for picture in result.pictures.get(name, []) -%}
<p><img src="{{ picture }}" alt="Picture {{ loop.index }} of the text"></p>
{% endfor -%}
{% if comments[name] %}<p>Comment:</p>
<blockquote class="comment">{{ comments[name] }}</blockquote>{% endif %}
{% endfor %}
{% endif %}
{% if pictures %}
<h2>Pictures handed in beside the notebook</h2>
{% for file, picture in pictures -%}
<p>{{ file }}</p>
<p><img src="{{ picture }}" alt="{{ file }}"></p>
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


def page(assignment: Assignment, final: Final, found: Found | None = None) -> str:
    """Return a student's page: one file, which asks nothing of any server.

    Parameters
    ----------
    assignment : what was handed in
    final : the marks (`deepsvdd.course.markbook.merge`)
    found : the file, with the pictures that came with it
    """
    from jinja2 import Environment

    name = final.result.student
    if found is not None and found.person.name:
        person = found.person
        name = f"{person.name} ({person.id})" if person.id else person.name
    # Everything a submission brought along is escaped, and so is what was typed.
    template = Environment(autoescape=True).from_string(PAGE)
    return template.render(
        title=assignment.title,
        name=name,
        result=final.result,
        final=final,
        comments=dict.fromkeys(["", *assignment.answers], "") | final.comments,
        tests=assignment.tests,
        texts=assignment.answers,
        full=lambda names: sum(assignment.points[name] for name in names),
        pending=pending(assignment, final),
        headings={n: task_of(text) for n, text in assignment.headings.items()},
        worth=assignment.points,
        points=lambda number: f"{number:g}",
        pictures=pictures_beside(found) if found is not None else [],
    )


def pictures_beside(found: Found) -> list[tuple[str, str]]:
    """Return names and data URIs of the pictures that came with a notebook."""
    shown = []
    for path in found.pictures[:MOST_PICTURES]:
        if path.stat().st_size <= LARGEST_PICTURE:
            content = path.read_bytes()
            if kind := picture_kind(content):
                shown.append((path.name, data_uri(kind, content)))
    return shown


def task_of(heading: str) -> str:
    """Return a heading without its points, which the page says in its own way.

    Examples
    --------
    >>> task_of("Task 7: the score (3 points)")
    'Task 7: the score'
    """
    return re.sub(r" *\([\d.]+ points?\)$", "", heading)


def pending(assignment: Assignment, final: Final) -> float:
    """Return the points that a person has still to give or refuse."""
    open_ones = (name for name, points in final.points.items() if points is None)
    return sum(assignment.points[name] for name in open_ones)


def table(assignment: Assignment, marked: Iterable[tuple[Found, Final]]) -> str:
    """Return the final marks as CSV: a row for each student, a column for each task.

    Columns of texts are empty until they are marked, or 0 where there is no text.
    """
    names = {f"{name} ({points:g})": name for name, points in assignment.points.items()}
    groups = {"tests": assignment.tests, "texts": assignment.answers}
    sums = {
        f"{what} ({sum(assignment.points[name] for name in group):g})": group
        for what, group in (groups | {"total": assignment.points}).items()
    }
    start = ("id", "student", "file", "submitted", "late")
    marked = list(marked)
    rule = any(final.taken_off is not None for _, final in marked)
    after = ("days late", "deduction", "mark") if rule else ()
    rows = [[*start, *names, *sums, *after, "pending", "comment", "remarks"]]
    for found, final in marked:
        left = (f"{final.days_late}", f"{final.deduction:g}", f"{final.mark:g}")
        result, person = final.result, found.person
        points = (final.points[name] for name in names.values())
        rows.append(
            [
                *(person.id, person.name or result.student, result.file),
                *(found.submitted, found.late),
                *("" if number is None else f"{number:g}" for number in points),
                *(f"{final.total(group):g}" for group in sums.values()),
                *(left if rule else ()),
                f"{pending(assignment, final):g}",
                final.comments.get("", ""),
                "; ".join(result.remarks),
            ]
        )
    return table_text(rows)


def report(notices: Iterable[Notice]) -> str:
    """Return as CSV what was left out, and what is in doubt."""
    rows = [[notice.student, notice.file, notice.what] for notice in notices]
    return table_text([["student", "file", "what"], *rows])


def write_pages(
    out: Path, assignment: Assignment, marked: Iterable[tuple[Found, Final]]
) -> None:
    """Write ``NAME/STUDENT.html`` for each student."""
    names: set[str] = set()
    for found, final in marked:
        path = out / assignment.name / f"{file_name(found.student, names)}.html"
        write_text(path, page(assignment, final, found))


def write_tables(out: Path, tables: dict[str, str]) -> list[Path]:
    """Write tables; one that somebody has changed since is kept under another name.

    Parameters
    ----------
    out : the folder
    tables : by the names of their files

    Returns
    -------
    The files that were kept: ``NAME.kept-1.csv`` and so on.
    """
    try:
        known = json.loads((out / WRITTEN).read_bytes())
        known = {str(name): list(map(str, hashes)) for name, hashes in known.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        known = {}
    kept = []
    contents = {name: text.encode(encoding_of(name)) for name, text in tables.items()}
    for name, content in contents.items():
        path = out / name
        if path.exists() and sha256_of(path.read_bytes()) not in (
            *known.get(name, []),
            sha256_of(content),
        ):
            kept.append(unused(path))
            path.rename(kept[-1])
        # Two are known: a kill may come between this list and the table.
        known[name] = [*known.get(name, [])[-1:], sha256_of(content)]
    write_text(out / WRITTEN, json.dumps(known, indent=1))
    for name, text in tables.items():
        write_text(out / name, text, encoding_of(name))
    return kept


def encoding_of(name: str) -> str:
    """Return a table's encoding: Excel spoils accents without a mark at the front.

    Platforms do not expect one.
    """
    return "utf-8" if "-import-" in name else "utf-8-sig"


def unused(path: Path) -> Path:
    """Return a name beside a file that is not taken."""
    number = 1
    while (other := path.with_suffix(f".kept-{number}{path.suffix}")).exists():
        number += 1
    return other


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
