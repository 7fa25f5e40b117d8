"""Which submissions resemble each other, for a person who then asks both.

`copydetect <https://github.com/blingenf/copydetect>`_ finds passages in common, by the
winnowing of Schleimer, Wilkerson and Aiken (SIGMOD 2003). What students were given is
left out: only solutions and cells of their own are compared, and what stands in the
release as well does not count.
"""

from __future__ import annotations

import html
import io
import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepsvdd.course.build import release
from deepsvdd.course.collection import Found
from deepsvdd.course.source import Assignment
from deepsvdd.course.submission import Submission, recognise
from deepsvdd.course.tables import table_text

K, WINDOW = 25, 4  # characters of a passage; in how many of them one is kept
LONGEST = 200_000  # characters of a submission's code

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Similar submissions: {{ title }}</title>
<style>
:root { color-scheme: light dark; --mark: #ffe08a; }
@media (prefers-color-scheme: dark) { :root { --mark: #5c4a00; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem;
  padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #8888; padding: .3rem .8rem .3rem 0;
  text-align: left; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr));
  gap: 1rem; }
.pair > div { min-width: 0; }
pre { border: 1px solid #8888; font-size: .85rem; margin: 0; overflow-x: auto;
  padding: .5rem; }
mark { background: var(--mark); color: inherit; }
</style>
</head>
<body>
<main>
<h1>Similar submissions: {{ title }}</h1>
<p><strong>Similarity is no proof of anything.</strong> Short functions with a given
name, given arguments and one formula look alike when they are right; so do the answers
of two people who sat in the same tutorial, or asked the same program. Among these
{{ n }} submissions half of all pairs share {{ "%.0f"|format(median) }} % of their
structure or more. Look for what is unusual <em>and</em> shared: the same mistake, an
odd constant, a detour. Then ask both, separately, and let them explain their code.</p>
<p><em>Structure</em> compares code with all names replaced, <em>wording</em> as it was
typed, each as the share of the shorter of the two. What the assignment gives to
everybody is left out. Shared passages are marked.</p>
<table>
<thead><tr><th scope="col">Pair</th><th scope="col">Students</th>
<th scope="col">Structure</th><th scope="col">Wording</th></tr></thead>
<tbody>
{% for pair in pairs -%}
<tr><td><a href="#pair-{{ loop.index }}">{{ loop.index }}</a></td>
<td>{{ pair.one }}, {{ pair.other }}</td>
<td class="number">{{ "%.0f"|format(pair.structure) }} %</td>
<td class="number">{{ "%.0f"|format(pair.wording) }} %</td></tr>
{% endfor -%}
</tbody>
</table>
{% for pair in pairs %}
<h2 id="pair-{{ loop.index }}">{{ loop.index }}. {{ pair.one }}, {{ pair.other }}</h2>
<div class="pair">
<div><h3>{{ pair.one }}</h3><pre>{{ pair.code_one | safe }}</pre></div>
<div><h3>{{ pair.other }}</h3><pre>{{ pair.code_other | safe }}</pre></div>
</div>
{% endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Pair:
    """Two submissions to one assignment, and what they share, in per cent.

    ``code_one`` and ``code_other`` are HTML, escaped, with shared passages marked.
    """

    one: str
    other: str
    structure: float
    wording: float
    code_one: str = ""
    code_other: str = ""


def code_of(submission: Submission) -> str:
    """Return what a student wrote: solutions, with their names, and cells of their own.

    The order is that of the assignment, whatever the order in the notebook.
    """
    parts = [
        f"# task: {name}\n{without_marker(text)}"
        for name, texts in submission.solutions.items()
        for text in texts
    ]
    own = [text for texts in submission.extras.values() for text in texts]
    return "\n\n".join([*parts, *own])[:LONGEST] + "\n"


def without_marker(text: str) -> str:
    """Return a solution without the line that names it."""
    lines = text.split("\n")
    return "\n".join(line for line in lines if not line.startswith("# task:"))


def compare_all(
    assignment: Assignment, files: list[Found], most: int
) -> tuple[list[Pair], float]:
    """Compare all pairs of submissions to an assignment.

    Parameters
    ----------
    assignment : what they are for
    files : the submissions; those without a notebook are passed over
    most : how many pairs get their code marked

    Returns
    -------
    pairs : the most similar first
    median : of the structure that pairs share, in per cent
    """
    from copydetect import CodeFingerprint

    given = release(assignment)
    blank = code_of(recognise(assignment, given, given))
    codes = {
        file.student: code_of(recognise(assignment, given, file.notebook))
        for file in files
        if file.notebook is not None
    }

    def fingerprint(code: str, names: bool, skeleton: list[int]) -> Any:
        return CodeFingerprint(
            "a.py", K, WINDOW, skeleton, filter=not names, fp=io.StringIO(code)
        )

    prints: dict[bool, dict[str, Any]] = defaultdict(dict)
    for names in (False, True):
        skeleton = CodeFingerprint(
            "a.py", K, 1, filter=not names, fp=io.StringIO(blank)
        ).hashes
        for student, code in codes.items():
            mine = fingerprint(code, names, [])
            without(mine, skeleton)
            prints[names][student] = mine
    pairs = [
        Pair(
            one,
            other,
            share(prints[False][one], prints[False][other]),
            share(prints[True][one], prints[True][other]),
        )
        for one, other in itertools.combinations(sorted(codes), 2)
    ]
    pairs.sort(key=lambda pair: (-pair.structure, -pair.wording, pair.one, pair.other))
    marked = [marked_pair(pair, prints[False]) for pair in pairs[:most]]
    median = statistics.median(pair.structure for pair in pairs) if pairs else 0.0
    return [*marked, *pairs[most:]], median


def without(fingerprint: Any, skeleton: set[int]) -> None:
    """Take out of a fingerprint what stands in the release."""
    fingerprint.hashes = fingerprint.hashes - skeleton
    fingerprint.hash_idx = {
        each: fingerprint.hash_idx[each] for each in fingerprint.hashes
    }


def share(one: Any, other: Any) -> float:
    """Return the passages in common, in per cent of those of the shorter one."""
    least = min(len(one.hashes), len(other.hashes))
    return 100 * len(one.hashes & other.hashes) / least if least else 0.0


def marked_pair(pair: Pair, prints: dict[str, Any]) -> Pair:
    """Return a pair with the code of both, shared passages marked."""
    one, other = prints[pair.one], prints[pair.other]
    common = one.hashes & other.hashes
    return Pair(
        pair.one,
        pair.other,
        pair.structure,
        pair.wording,
        marked(one, common),
        marked(other, common),
    )


def marked(fingerprint: Any, common: set[int]) -> str:
    """Return code as HTML, with the passages of some hashes marked."""
    from copydetect.utils import get_copied_slices, highlight_overlap

    places = [place for each in common for place in fingerprint.hash_idx[each]]
    if not places:
        return html.escape(fingerprint.raw_code)
    slices = get_copied_slices(np.array(places), K).astype(int)
    # From places in the code without names to those in the code as it was typed.
    offsets = fingerprint.offsets
    if len(offsets):
        rows = np.clip(
            np.searchsorted(offsets[:, 0], slices, side="right") - 1, 0, None
        )
        slices = slices + offsets[rows, 1]
    slices = np.clip(slices, 0, len(fingerprint.raw_code))
    text, _ = highlight_overlap(
        fingerprint.raw_code, slices, "<mark>", "</mark>", escape_html=True
    )
    return str(text)


def page(assignment: Assignment, pairs: list[Pair], median: float, n: int) -> str:
    """Return the report as one file, which asks nothing of any server."""
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(PAGE)
    shown = [pair for pair in pairs if pair.code_one or pair.code_other]
    return template.render(title=assignment.title, pairs=shown, median=median, n=n)


def table(pairs: list[Pair]) -> str:
    """Return all pairs as CSV."""
    rows = [
        [pair.one, pair.other, f"{pair.structure:.1f}", f"{pair.wording:.1f}"]
        for pair in pairs
    ]
    return table_text([["student", "other", "structure %", "wording %"], *rows])


def reports(
    wanted: list[Assignment],
    files: list[Found],
    most: int,
    write: Callable[[str, str], None],
) -> Iterator[str]:
    """Compare the submissions to each assignment; yield a line about each.

    Parameters
    ----------
    wanted : the assignments
    files : what was handed in
    most : how many pairs the page shows side by side
    write : takes the name of a file and its text
    """
    for assignment in wanted:
        own = [
            file
            for file in files
            if file.assignment is assignment and file.notebook is not None
        ]
        if len(own) < 2:
            continue
        pairs, median = compare_all(assignment, own, most)
        name = f"{assignment.name}-similar"
        write(f"{name}.csv", table(pairs))
        write(f"{name}.html", page(assignment, pairs, median, len(own)))
        yield (
            f"{name}.html: {len(pairs)} pairs of {len(own)} submissions; half of them "
            f"share {median:.0f} % of their structure or more, the first "
            f"{pairs[0].structure:.0f} %"
        )
