"""What every chapter has: captions that are referred to, cells to complete, marks."""

import ast
import re
import textwrap

import pytest

from tests import ROOT
from tests.book import cells_of, has_picture, source_of, text_of

CHAPTERS = sorted((ROOT / "book").glob("[01]*.ipynb"))
WITH_PICTURES = [*CHAPTERS, ROOT / "book/quickstart.ipynb", ROOT / "book/welcome.ipynb"]
ASSIGNED = re.compile(r"^ *# Assignment (\d), ([\w-]+)\n", re.MULTILINE)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def printed(cell):
    return "".join(
        "".join(output.get("text", "")) for output in cell.get("outputs", ())
    )


# --- pictures ---------------------------------------------------------------------


def pictures(path):
    return list(filter(has_picture, cells_of(path, "code")))


def figure_of(cell):
    return cell["metadata"].get("mystnb", {}).get("figure", {})


@pytest.mark.parametrize("path", WITH_PICTURES, ids=lambda path: path.stem)
def test_pictures_have_captions_and_the_text_names_them(path):
    text = text_of(path)
    for cell in pictures(path):
        figure = figure_of(cell)
        assert len(figure.get("caption", "")) > 20, source_of(cell)
        assert f"{{numref}}`{figure['name']}`" in text, figure["name"]


def test_figures_have_names_of_their_own():
    names = [
        figure_of(cell)["name"] for path in WITH_PICTURES for cell in pictures(path)
    ]
    for path in WITH_PICTURES:
        names += re.findall(r"^:name: (fig-[\w-]+)$", text_of(path), re.MULTILINE)
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", WITH_PICTURES, ids=lambda path: path.stem)
def test_pictures_are_sharp(path):
    """Twice as many pixels as they are wide on the page."""
    for cell in pictures(path):
        for output in cell["outputs"]:
            if "image/png" in output.get("data", ()):
                assert output["metadata"]["image/png"]["width"] > 100


# --- text -------------------------------------------------------------------------


def pages():
    """Yield (name, Markdown) of each page that has some."""
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in cells_of(path, "markdown"):
            yield path.stem, source_of(cell)
    for path in sorted((ROOT / "book").glob("*.md")):
        yield path.stem, path.read_text("utf-8")


def test_no_line_of_the_text_is_a_comment():
    """MyST drops a line that begins with a percent sign, and what it says."""
    lines = [(name, line) for name, text in pages() for line in text.splitlines()]
    assert len(lines) > 3000
    assert [pair for pair in lines if pair[1].lstrip().startswith("%")] == []


# --- cells to complete ------------------------------------------------------------


def tried(path):
    """Return {name: cells that try it}, in order."""
    found = {}
    for cell in cells_of(path, "code"):
        for name in re.findall(
            r'^with trying\("(\w+)"\):', source_of(cell), re.MULTILINE
        ):
            found.setdefault(name, []).append(cell)
    return found


@each_chapter
def test_chapters_have_cells_to_complete_with_folded_solutions(path):
    names = tried(path)
    assert len(names) >= 2
    for name, cells in names.items():
        stub, solution = cells
        assert "raise NotImplementedError" in source_of(stub)
        assert printed(stub) == f"{name}: not written yet\n"
        assert printed(solution) == f"{name}: right\n"
        assert "hide-cell" in solution["metadata"]["tags"]
        assert "hide-cell" not in stub["metadata"].get("tags", ())


def visible_tests(number, name):
    (path,) = (ROOT / "book/assignments").glob(f"{number}-*.ipynb")
    for cell in cells_of(path, "code"):
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == name:
            return source_of(cell).partition("### BEGIN HIDDEN TESTS")[0]
    raise LookupError(f"assignment {number} has no cell {name}")


def statements(code):
    return [ast.dump(node) for node in ast.parse(textwrap.dedent(code)).body]


def test_checks_that_name_an_assignment_are_its_own():
    """All of a visible test, or its first statements; lines may break elsewhere."""
    found = set()
    for path in CHAPTERS:
        code = "\n\n".join(map(source_of, cells_of(path, "code")))
        for match in ASSIGNED.finditer(code):
            indented = re.match(
                r"(?:(?! *# Assignment)( +.*)?\n?)*", code[match.end() :]
            )
            own = statements(indented[0].rstrip())
            assert own, match[0]
            same = statements(visible_tests(*match.groups()))
            n = min(len(own), len(same))  # checks of ours may follow
            assert own[:n] == same[:n]
            found.add(match.groups())
    assert len(found) >= 8


# --- marks ------------------------------------------------------------------------


@each_chapter
def test_what_may_be_skipped_is_marked(path):
    assert text_of(path).count("*May be skipped at first reading") >= 2
