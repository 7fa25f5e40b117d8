"""The readers' notebooks, which the build makes of the chapters."""

import ast
import copy
import re
import sys
from html.parser import HTMLParser

import nbformat
import pytest
from docutils import nodes
from nbclient import NotebookClient

from tests import ROOT
from tests.book import cells_of, source_of

pytest.importorskip("sphinx")
sys.path.insert(0, str(ROOT / "book/_ext"))
from readers import cells, plain
from sphinx.errors import ExtensionError

sys.path.pop(0)

SOURCES = sorted((ROOT / "book").glob("*.ipynb"))
NAMES = [path.stem for path in SOURCES]
PLACE = plain.Place(
    page="a-page",
    address="https://example.org/book/latest/a-page.html",
    pictures="https://example.org/raw/book/",
    numbers={"theorem": {"thm": (2, 1)}, "figure": {"fig": (2, 3)}},
    equations={},
)


@pytest.fixture
def writer():
    return plain.Plain(PLACE)


# --- parts of a document ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("5 * 3 * 2", r"5 \* 3 \* 2"),
        ("a_b and [1]", r"a\_b and \[1\]"),
        ("10 $ and `x` < y", r"10 \$ and \`x\` \< y"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_what_markdown_would_take_for_its_own_is_escaped(writer, text, written):
    assert writer.block(nodes.paragraph("", text)) == written


@pytest.mark.parametrize(
    "text", ["# no heading", "- no item", "1. no item", "> no box"]
)
def test_a_paragraph_stays_one(writer, text):
    assert writer.block(nodes.paragraph("", text)).startswith("\\")


def test_marks_stand_next_to_words(writer):
    strong = nodes.strong("", "Question 1. ")
    text = writer.block(nodes.paragraph("", "", strong, nodes.Text("Which?")))
    assert text == "**Question 1.** Which?"


def test_links_are_whole_addresses(writer):
    links = [
        nodes.reference("", "a section", refid="sec"),
        nodes.reference("", "a page", refuri="other.html#x"),
        nodes.reference("", "a site", refuri="https://example.com/(a)"),
    ]
    assert [writer.inline(link) for link in links] == [
        "[a section](https://example.org/book/latest/a-page.html#sec)",
        "[a page](https://example.org/book/latest/other.html#x)",
        "[a site](https://example.com/(a%29)",
    ]


def test_displayed_formulas_fit_where_they_stand(writer):
    formula = nodes.math_block("", "a\n= b", number=3)
    assert writer.block(formula) == "$$\na\n= b \\tag{3}\n$$"
    assert writer.block(formula, "quote") == "$$a = b \\tag{3}$$"
    assert writer.block(formula, "list") == "$\\displaystyle a = b$ (3)"


def test_a_list_keeps_its_blocks_together(writer):
    item = nodes.list_item(
        "",
        nodes.paragraph("", "first\nsecond line"),
        nodes.math_block("", "x", number=None),
    )
    (text,) = [writer.block(nodes.bullet_list("", item))]
    assert text == "- first\n  second line\n\n  $\\displaystyle x$"


def test_a_bar_ends_no_cell_of_a_table(writer):
    def row(*texts):
        entries = [nodes.entry("", nodes.paragraph("", "", t)) for t in texts]
        return nodes.row("", *entries)

    table = nodes.table(
        "",
        nodes.tgroup(
            "",
            nodes.thead("", row(nodes.Text("a|b"), nodes.Text("c"))),
            nodes.tbody("", row(nodes.math("", "|x|"), nodes.math("", r"\|y\|"))),
        ),
    )
    assert writer.block(table).split("\n") == [
        r"| a\|b | c |",
        "| --- | --- |",
        r"| $\vert x\vert$ | $\Vert y\Vert$ |",
    ]


def test_a_figure_has_its_number(writer):
    def figure(*parts, **names):
        image = nodes.image(uri="figures/a.svg", alt="A [b]")
        return nodes.figure("", image, *parts, **names)

    caption = nodes.caption("", "Of ", nodes.math("", "x"), nodes.Text("."))
    picture = r"![A \[b\]](https://example.org/raw/book/figures/a.svg)"
    numbered = figure(caption, ids=["fig"])
    assert writer.block(numbered) == f"{picture}\n\n*Fig. 2.3. Of $x$.*"
    assert writer.block(figure(caption.deepcopy())) == f"{picture}\n\n*Of $x$.*"
    assert writer.block(figure()) == picture


def test_an_unknown_role_is_named_with_file_and_cell(writer):
    paragraph = nodes.paragraph("", "", nodes.problematic("", "{frobnicate}`x`"))
    paragraph.line = 70_003
    sentence = r"book/a-page.ipynb, cell 6: the role \{frobnicate\} has no plain form"
    with pytest.raises(ExtensionError, match=sentence):
        writer.block(paragraph)


def test_an_unknown_block_is_named_with_file_and_cell(writer):
    with pytest.raises(ExtensionError, match=r"cell 0: <sidebar> has no plain form"):
        writer.block(nodes.sidebar("", nodes.paragraph("", "x")))


# --- code -----------------------------------------------------------------------------


def kept(*sources):
    """What is kept of cells; those that begin with # are left out of the page."""
    given = [(source, not source.startswith("#")) for source in sources]
    return cells.needed(given)


def test_checks_are_left_out():
    checks = "# check\nassert x > 0\nfor name in 'ab':\n    assert name"
    assert kept("x = 1", checks, "print(x)") == ["x = 1", "", "print(x)"]


def test_what_later_cells_need_of_a_check_is_kept():
    check = "# check\nimport json\ndef f(v):\n    return g(v)\ng = abs\nassert f(-1)"
    first, helper, last = kept("x = 1", check, "print(f(x))")
    assert helper == "def f(v):\n    return g(v)\ng = abs"
    exec("\n".join((first, helper, last)), {})


def test_variables_of_functions_are_their_own():
    check = "# check\nvalue = 3\nassert value"
    shown = "def f(value):\n    total = value\n    return [n for n in range(total)]"
    assert kept(check, shown)[0] == ""


def test_a_name_that_is_bound_anew_is_not_needed():
    assert kept("# check\ny = 2", "y = 1\nprint(y)")[0] == ""
    assert kept("# check\ny = 2", "if y:\n    y = 1")[0] == "y = 2"
    assert kept("# check\ny = 2", "for k in 'ab':\n    y += 1")[0] == "y = 2"


def test_lines_of_ipython_are_none_of_pythons():
    assert kept("if True:\n    %pip install x\n!ls", "# c\nz = 1") == [
        "if True:\n    %pip install x\n!ls",
        "",
    ]


def test_in_colab_a_release_installs_itself():
    source = "import sys\n%pip install -q git+{repository}"
    assert cells.bootstrap(source, "0.2.0") == (
        "import sys\n%pip install -q deepsvdd==0.2.0"
    )
    assert cells.bootstrap(source, "0.2.0.dev0") == source


# --- the notebooks of the build -------------------------------------------------------


@pytest.fixture(scope="module")
def made(site):
    """The readers' notebooks by name, of the site that the browser's tests build."""
    folder = ROOT / "_build/html/notebooks"
    return {name: nbformat.read(folder / f"{name}.ipynb", 4) for name in NAMES}


def markdown(notebook):
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def prose(text):
    """Markdown without what is in code or in a formula."""
    text = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(`+).+?\1", "", text)
    text = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL)
    return re.sub(r"(?<!\\)\$[^$]+\$", "", text)


RAW = {
    "a role": r"\{[a-zA-Z][\w:.-]*\}`",
    "a directive": r"^\s*(`{3,}|:{3,})\s*\{",
    "an empty link": r"(?<!\\)\[\]\([^)]*\)|\]\(\)",
    "a target": r"^\([\w-]+\)=$",
    "a macro": r"\\(newcommand|def|require|DeclareMathOperator)\b",
    "a formula in a list": r"^[ \t]*(-|\d+\.)\s.*\$\$|^[ \t]+\$\$",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", RAW)
def test_no_raw_markup_is_left(made, name, what):
    found = [
        match[0]
        for text in markdown(made[name])
        for match in re.finditer(RAW[what], text, re.MULTILINE)
    ]
    assert not found


def test_the_sources_have_what_is_looked_for():
    """The patterns find something where there is something."""
    texts = [source_of(cell) for path in SOURCES for cell in cells_of(path, "markdown")]
    counts = {
        what: sum(len(re.findall(RAW[what], text, re.MULTILINE)) for text in texts)
        for what in ("a role", "a directive", "an empty link", "a target")
    }
    assert counts["a role"] > 250
    assert min(counts.values()) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_formulas_are_closed(made, name):
    for text in markdown(made[name]):
        assert "$" not in prose(text).replace(r"\$", ""), text


class Tags(HTMLParser):
    """Collects the tags of a text."""

    def __init__(self):
        super().__init__()
        self.opened = []

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, attrs))

    def handle_endtag(self, tag):
        self.opened.append((f"/{tag}", []))


@pytest.mark.parametrize("name", NAMES)
def test_of_html_only_what_all_viewers_fold_is_used(made, name):
    for text in markdown(made[name]):
        parser = Tags()
        parser.feed(prose(text).replace(r"\<", ""))
        tags = [tag for tag, _ in parser.opened]
        assert set(tags) <= {"details", "/details", "summary", "/summary", "br"}
        assert not any(attrs for _, attrs in parser.opened)  # "open" is one
        assert tags.count("details") == tags.count("/details")
        # Behind the summary an empty line: else viewers show Markdown as it is typed.
        assert text.count("</summary>\n\n") == tags.count("/summary")


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_solutions_are_folded_and_checks_left_out(made, path):
    notebook = made[path.stem]
    shown = {cell.source for cell in code(notebook)}
    folded = "\n".join(markdown(notebook))
    for cell in nbformat.read(path, 4).cells:
        marks = cells.tags(cell)
        if cell.cell_type != "code":
            continue
        if cells.SOLUTION in marks:
            assert cell.source not in shown
            assert f"```python\n{cell.source}\n```" in folded
        elif cells.DROPPED in marks:
            assert cell.source not in shown
            if "assert" in cell.source:
                assert cell.source not in folded
        else:
            assert cell.source in shown
    assert not any("glue(" in source for source in shown)


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_outputs_are_kept(made, path):
    by_source = {cell.source: cell.outputs for cell in code(made[path.stem])}
    for cell in nbformat.read(path, 4).cells:
        if cell.source in by_source and cell.cell_type == "code":
            assert by_source[cell.source] == cell.outputs


@pytest.mark.parametrize("name", NAMES)
def test_hidden_code_is_folded_in_jupyter_and_in_colab(made, name):
    for cell in code(made[name]):
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert (cell.metadata.get("cellView") == "form") == hidden
        assert hidden or not cell.source.startswith("# Used below")


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_pages_and_places_that_exist(made, name):
    site = ROOT / "_build/html"
    text = "\n".join(map(prose, markdown(made[name])))
    links = re.findall(r"(?<!!)\[(?:\\.|[^\]\\])+\]\(([^)]+)\)", text)
    own = [link for link in links if "deepsvdd-book.github.io" in link]
    assert own
    for link in own:
        page, _, place = link.partition("#")
        html = (site / page.rsplit("/", 1)[-1]).read_text("utf-8")
        assert not place or re.search(rf'(id|name)="{re.escape(place)}"', html), link
    for link in links:
        assert link.startswith("https://") or (site / "notebooks" / link).exists(), link
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / "book" / picture.partition("/raw/main/book/")[2]).is_file()


def test_drawings_are_pictures_with_numbers(made):
    """A notebook has no theme to follow: the file, on a ground of its own."""
    found = {}
    for name, notebook in made.items():
        text = "\n\n".join(markdown(notebook))
        assert "<svg" not in text
        for match in re.finditer(
            r"!\[(.+)\]\((https://.+/raw/main/book/figures/drawn/\w+\.svg)\)"
            r"\n\n\*(Fig\. [\d.]+)\. \S",
            text,
        ):
            found[match[2].rsplit("/", 1)[-1]] = match[1]
            assert text.count(match[3]) >= 2, (name, match[3])  # the text refers to it
    assert sorted(found) == sorted(
        path.name for path in (ROOT / "book/figures/drawn").iterdir()
    )
    assert all(len(alt) > 100 for alt in found.values())


@pytest.mark.parametrize("name", NAMES)
def test_there_is_one_bootstrap_cell(made, name):
    boots = [c for c in code(made[name]) if "%pip install -q git+" in c.source]
    assert len(boots) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_first_and_last_cells_lead_on(made, name):
    first, *_, last = markdown(made[name])
    assert first.startswith("# ")
    assert first.split("\n\n")[1] == last
    if name != "welcome":
        assert "previous: [" in last
    assert "next: [" in last


@pytest.mark.parametrize("name", NAMES)
def test_the_code_parses_and_lacks_no_name(made, name):
    """Every name that a cell reads is bound by a cell before it, or in it."""
    known = set(dir(__builtins__)) | set(vars(__import__("builtins"))) | {"display"}
    for cell in code(made[name]):
        for node in cells.parsed(cell.source).body:
            bound, read = cells.names_in(node)
            late = isinstance(node, ast.FunctionDef | ast.ClassDef)
            missing = set() if late else read - known - bound
            assert not missing, (missing, cell.source)
            known |= bound


# What it trains is compared elsewhere, with the outputs of the chapter.
BRIEFLY = """
from deepsvdd.core.recipes import RECIPES, shortened
RECIPES["fast"][""] = shortened(RECIPES["fast"][""], 1, 1)
"""


@pytest.mark.parametrize("name", ["02-kernel-svdd", "quickstart"])
def test_a_readers_notebook_runs_from_top_to_bottom(made, name, tmp_path):
    notebook = copy.deepcopy(made[name])
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BRIEFLY))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
    assert all(cell.execution_count for cell in code(notebook))


def test_the_buttons_lead_to_the_readers_notebook(site):
    html = (ROOT / "_build/html/04-collapse.html").read_text("utf-8")
    assert "/blob/notebooks/04-collapse.ipynb" in html
    assert "/blob/main/book/04-collapse.ipynb" not in html.replace("edit/main", "")
    assert 'href="notebooks/04-collapse.ipynb"' in html


def test_assignments_are_there_as_students_get_them(made):
    folder = ROOT / "_build/html/notebooks/assignments"
    given = sorted(path.name for path in folder.iterdir())
    assert given == sorted(p.name for p in (ROOT / "book/assignments").glob("*.ipynb"))
    for name in given:
        text = (folder / name).read_text("utf-8")
        assert "BEGIN SOLUTION" not in text
        assert "raise NotImplementedError" in text
