"""Each symbol has one meaning, and is in the chapter that notation.md names."""

import re

import pytest

from tests import ROOT
from tests.book import cells_of, source_of, text_of

ROW = re.compile(r"^\| (\$[^|]+) \| ([^|]+) \| \[[^]]+\]\(([\w-]+)\.(ipynb|md)\) \|$")
TEXT = (ROOT / "book/notation.md").read_text("utf-8")
ROWS = [match.groups()[:3] for line in TEXT.splitlines() if (match := ROW.match(line))]


def symbols(cell):
    """Yield the symbols of a cell: "$m,\\ M = 3$" has $m$ and $M$, phi(x) is phi."""
    for formula in re.findall(r"\$([^$]+)\$", cell):
        for part in re.split(r",\s*(?:\\ |\\dots,)", formula):
            name = part.partition("=")[0].strip().removesuffix("\\")
            yield re.sub(r"\(.*\)$", "", name).strip()


SYMBOLS = [(name, page) for cell, _, page in ROWS for name in symbols(cell)]


def test_the_rows_are_read():
    assert len(ROWS) == TEXT.count("\n| $")
    assert {"m", "M", r"\kappa", "d_i", r"\alpha_i", "q", "x"} <= dict(SYMBOLS).keys()


def test_a_symbol_has_one_meaning():
    names = [name for name, _ in SYMBOLS]
    assert sorted(names) == sorted(set(names))
    assert not re.search(r"\((in|before|elsewhere)\b", TEXT)


@pytest.mark.parametrize(("name", "page"), SYMBOLS)
def test_a_symbol_is_in_its_chapter(name, page):
    notebook = ROOT / f"book/{page}.ipynb"
    if not notebook.exists():
        return  # the reference writes X and z as code
    text = "".join(map(source_of, cells_of(notebook)))
    any_rank = name.replace("(k)}", "(")  # the k-th, or another
    assert any_rank.replace(" ", "") in text.replace(" ", "")


# What a symbol once stood for beside its meaning of today.
@pytest.mark.parametrize(
    ("page", "former"),
    [
        ("01-anomaly-detection", r"\\alpha(?!_)"),
        ("02-kernel-svdd", r"\\kappa"),
        ("03-deep-svdd", r"\$m\$|\bm = \\lfloor"),
        ("04-collapse", r"\\alpha|\\sigma"),
        ("05-data", r"\$[mM]\$|- m\b"),
        ("07-one-class", r"\\kappa|\\rho|\\mu_m"),
        ("08-soft-boundary", r"\bm = \\lfloor"),
        ("10-evaluation", r"\\alpha|\\tau"),
        ("12-adversarial", r"m\(x'\)|x'"),
    ],
)
def test_former_meanings_are_gone(page, former):
    assert not re.search(former, text_of(ROOT / f"book/{page}.ipynb"))
