"""The promises that files of this repository make to each other."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

import deepsvdd
from tests import ROOT

tomllib = pytest.importorskip("tomllib")  # in Python from 3.11 on

PACKAGE = ROOT / "deepsvdd"
MEGABYTE = 2**20

# The rooms of the package, a floor each, lowest first. A module imports only from its
# own room and from rooms below. What lies in deepsvdd/ itself is the ground floor, but
# for `__init__` and `__main__`: they are the front door, above the top floor.
GROUND = "deepsvdd"
ROOMS = (
    *(GROUND, "datasets", "core", "successors"),
    *("reproduction", "adversarial", "cli", "course"),
)
DOORS = {"__init__", "__main__"}

# Where conda-forge calls a package otherwise than PyPI does.
CONDA_NAME = {
    "torch": "pytorch",
    "playwright": "playwright-python",
    "build": "python-build",
}


def repository_files() -> list[Path]:
    """Files in git or about to be; outside a checkout, whatever is not set-up."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = "git ls-files -z --cached --others --exclude-standard"
        listed = subprocess.run(
            command.split(), cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        paths = {ROOT / name for name in listed.split("\0") if name}
    else:
        skipped = {".git", ".venv", "_build", "_extra", "build", "runs", "__pycache__"}
        paths = {
            path
            for path in ROOT.rglob("*")
            if not skipped & set(path.relative_to(ROOT).parts)
        }
    return sorted(path for path in paths if path.is_file())


def text_of(path: Path) -> str:
    """Return what a person wrote in a file: '' if binary, sources if a notebook."""
    raw = path.read_bytes()
    if b"\0" in raw:
        return ""
    text = raw.decode("utf-8", errors="replace")
    if path.suffix == ".ipynb":
        return "\n".join("".join(c["source"]) for c in json.loads(text)["cells"])
    return text


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {str(p.relative_to(ROOT)): text_of(p) for p in repository_files()}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project) -> list[Requirement]:
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *itertools.chain(*extras.values())]
    return [Requirement(line) for line in lines]


def load_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


# --- dependencies -----------------------------------------------------------------


def test_environment_yml_asks_for_what_pyproject_asks_for(project):
    extras = project["optional-dependencies"]
    expected = {"python": SpecifierSet(project["requires-python"])}
    for line in [*project["dependencies"], *extras["book"], *extras["test"]]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        expected[CONDA_NAME.get(name, name)] = requirement.specifier

    environment = load_yaml("environment.yml")
    specs = [MatchSpec(s) for s in environment["dependencies"] if isinstance(s, str)]
    found = {
        spec.name.normalized: SpecifierSet(spec.version or "")
        for spec in specs
        if spec.name.normalized != "pip"
    }
    (others,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    for requirement in map(Requirement, others[:-1]):
        found[canonicalize_name(requirement.name)] = requirement.specifier
    assert found == expected
    assert environment["name"] == project["name"]
    assert environment["channels"] == ["conda-forge"]


def test_environment_yml_installs_the_package_itself():
    dependencies = load_yaml("environment.yml")["dependencies"]
    assert "pip" in dependencies
    (others,) = (d["pip"] for d in dependencies if isinstance(d, dict))
    assert others[-1] == "--editable ."


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and line[0] != "#")


def test_every_dependency_is_pinned_within_its_range(requirements):
    pinned = pins()
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} has no version in constraints.txt: `make lock`"
        assert requirement.specifier.contains(pinned[name]), (
            f"constraints.txt pins {name}=={pinned[name]}, pyproject.toml asks for "
            f"{requirement}: `make lock`"
        )


def test_pins_hold_on_every_platform():
    platform_bound = re.compile(r"(nvidia|cuda)-|triton$")
    assert not [name for name in pins() if platform_bound.match(name)]


def test_core_dependencies_have_no_upper_bound(project):
    """An upper bound would make Google Colab reinstall torch one day."""
    for line in project["dependencies"]:
        operators = {s.operator for s in Requirement(line).specifier}
        assert operators == {">="}, line


# --- the repository's address -----------------------------------------------------


def slug_of(url: str) -> str:
    """Return OWNER/REPO."""
    return "/".join(url.split("/")[-2:])


def pages_of(url: str) -> str:
    """Return the address, without https://, that GitHub Pages publishes it under."""
    return slug_of(url).replace("/", ".github.io/")


# Links that can only mean this repository, whatever its address has become.
OWN_LINKS = (
    r"(?:github|githubusercontent)\.com/([\w.-]+/deepsvdd-book)(?![\w-])",
    r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)",
    r"git\+https://github\.com/([\w.-]+/[\w.-]*?\w)(?:\.git)?(?![\w-]|\.\w)",
    r"([\w-]+\.github\.io/deepsvdd-book)(?![\w-])",
)


def test_every_file_gives_the_same_repository_address(project, texts):
    url = project["urls"]["Repository"]
    wrong = [
        f"{name}: {link}"
        for name, text in texts.items()
        for pattern in OWN_LINKS
        for link in re.findall(pattern, text)
        if link not in (slug_of(url), pages_of(url))
    ]
    assert not wrong, "\n".join(wrong)


def test_citation_and_book_link_to_the_repository(project):
    url = project["urls"]["Repository"]
    assert load_yaml("CITATION.cff")["repository-code"] == url
    if (ROOT / "_config.yml").exists():
        repository = load_yaml("_config.yml").get("repository", {})
        assert repository.get("url") == url


@pytest.mark.skipif(
    not all(map(shutil.which, ("git", "make", "perl"))), reason="needs git, make, perl"
)
def test_make_url_changes_the_address_everywhere(project, texts, tmp_path):
    old = project["urls"]["Repository"]
    new = "https://github.com/someone/a-fork"
    slug = slug_of(old)
    pages = pages_of(old)
    mentioning = [n for n, text in texts.items() if slug in text or pages in text]
    for name in {*mentioning, "Makefile"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    links = f"{old}/issues git+{old}.git https://{pages}/index.html x/{slug}-2 {slug}."
    (tmp_path / "links.txt").write_text(links)

    for command in ("git init -q", "git add .", f"make -s url URL={new}"):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)

    assert (tmp_path / "links.txt").read_text() == (
        f"{new}/issues git+{new}.git https://someone.github.io/a-fork/index.html "
        f"x/{slug}-2 someone/a-fork."
    )
    for name in mentioning:
        after = (tmp_path / name).read_text(encoding="utf-8")
        assert old not in after, name
        assert pages not in after, name


# --- the citation -----------------------------------------------------------------


def test_citation_names_this_version_and_the_paper(project):
    citation = load_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == deepsvdd.__version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]

    (paper,) = citation["references"]
    assert paper["title"] == "Deep One-Class Classification"
    assert paper["authors"][0]["family-names"] == "Ruff"
    assert len(paper["authors"]) == 8
    assert (paper["start"], paper["end"], paper["year"]) == (4393, 4402, 2018)


def test_the_version_stands_in_one_place(project):
    assert project["dynamic"] == ["version"]
    assert importlib.metadata.version("deepsvdd") == deepsvdd.__version__


# --- commands ---------------------------------------------------------------------


def makefile_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):(?!=)", makefile, flags=re.MULTILINE))


def test_makefile_has_the_documented_targets():
    documented = {"run", "test", "book", "bench", "lint", "format", "lock", "clean"}
    assert documented | {"help", "vendor", "url"} <= makefile_targets()


def test_every_make_command_in_the_texts_exists(texts):
    prose = {name: text for name, text in texts.items() if name.endswith(".md")}
    prose[".ci/run"] = texts[".ci/run"]
    named = {
        (name, target)
        for name, text in prose.items()
        for target in re.findall(r"(?:^|`)\s*make ([a-z]+)", text, flags=re.MULTILINE)
    }
    assert not {pair for pair in named if pair[1] not in makefile_targets()}


def test_ci_runs_the_documented_test_command_last():
    lines = (ROOT / ".ci/run").read_text().split("\n")
    assert [line for line in lines if line][-1] == "make test"
    workflow = load_yaml(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": "bash .ci/run"}


# --- the package's rooms -----------------------------------------------------------

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's name within the package: "core.metrics", "core.__init__"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def module_named(words: tuple[str, ...]) -> str:
    """Return the module that an imported name is, or is in."""
    for n in range(len(words), 0, -1):
        place = PACKAGE.joinpath(*words[:n])
        if place.with_suffix(".py").is_file():
            return ".".join(words[:n])
        if place.is_dir():
            return ".".join((*words[:n], "__init__"))
    return "__init__"


def imported_modules(source: str, path_in_package: Path) -> set[str]:
    """Return the modules of deepsvdd that a file imports, anywhere in its code."""
    here = ("deepsvdd", *path_in_package.parent.parts)
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names = [(*base, alias.name) for alias in node.names]
        else:
            continue
        found |= {module_named(name[1:]) for name in names if name[0] == "deepsvdd"}
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy, torch.nn", set()),
        ("import deepsvdd", {"__init__"}),
        ("import deepsvdd.core.metrics as m", {"core.metrics"}),
        ("from deepsvdd import errors, files", {"errors", "files"}),
        # Asks __init__, which may load anything.
        ("from deepsvdd import metrics", {"__init__"}),
        ("from deepsvdd.core.metrics import auc", {"core.metrics"}),
        ("from deepsvdd.core import metrics", {"core.metrics"}),
        ("from deepsvdd.datasets import Dataset", {"datasets.__init__"}),
        ("from . import options", {"cli.options"}),
        ("def f():\n    from .options import nu", {"cli.options"}),
    ],
)
def test_imported_modules_sees_every_form(source, expected):
    assert imported_modules(source, Path("cli/fit.py")) == expected


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports."""
    return {
        name_of(path): imported_modules(
            path.read_text("utf-8"), path.relative_to(PACKAGE)
        )
        for path in MODULES
    }


def floor_of(module: str) -> int:
    """Return a module's floor; the doors are above all floors."""
    if module in DOORS:
        return len(ROOMS)
    room, dot, _ = module.partition(".")
    return ROOMS.index(room if dot else GROUND)


def test_every_folder_is_a_room():
    folders = {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()
    }
    assert folders == set(ROOMS) - {GROUND}


@pytest.mark.parametrize("module", [name_of(path) for path in MODULES])
def test_imports_point_down(module, imports):
    for other in sorted(imports[module]):
        assert floor_of(other) <= floor_of(module), (
            f"{module} imports {other}, of a room above its own; imports must point "
            f"down: the rooms are {', '.join(ROOMS)}"
        )


def test_no_module_imports_itself_in_a_circle(imports):
    """Within a room, too, there is an order from the ground up."""
    sorter = graphlib.TopologicalSorter(
        {
            module: others - DOORS
            for module, others in imports.items()
            if module not in DOORS
        }
    )
    assert list(sorter.static_order())  # raises CycleError, which names the circle


def test_only_the_package_itself_looks_into_the_engine(texts):
    """Outside, names of deepsvdd serve, but for chapters that are about the engine."""
    inside = re.compile(r"deepsvdd\.core\._engine")
    chapters = {
        "book/07-one-class.ipynb",
        "book/09-gpu.ipynb",
        "book/11-reproduction.ipynb",
    }
    seen = {
        name
        for name, text in texts.items()
        if inside.search(text)
        and not name.startswith(("deepsvdd/", "tests/", "benchmarks/", "book/figures/"))
    }
    assert seen <= chapters | {"book/api.md", "CHANGELOG.md", "pyproject.toml"}


def test_every_room_says_what_is_in_it():
    for room in ROOMS[1:]:
        said = ast.get_docstring(
            ast.parse((PACKAGE / room / "__init__.py").read_text())
        )
        assert "Touch it to" in said, room
        inside = {p.stem for p in (PACKAGE / room).glob("*.py")} - {"__init__"}
        inside |= {p.parent.name for p in (PACKAGE / room).glob("[a-z]*/__init__.py")}
        assert not {name for name in inside if not re.search(rf"\b{name}\b", said)}, (
            room
        )
    readme = (PACKAGE / "core/_engine/README.md").read_text("utf-8")
    engine = {p.name for p in (PACKAGE / "core/_engine").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"^\| `(\w+\.py)`", readme, re.MULTILINE)) == engine


def test_the_tree_in_contributing_names_every_room(texts):
    tree = texts["CONTRIBUTING.md"].partition("```text\n")[2].partition("```")[0]
    assert {*ROOMS, "_engine"} <= set(re.findall(r"(\w+)/", tree))


def test_tests_mirror_the_rooms():
    """A room's tests are in the folder of its name, and named after its modules."""
    tests = ROOT / "tests"
    for path in sorted(tests.rglob("test_*.py")):
        room = path.parent.relative_to(tests).as_posix()
        if room in ("book", ".") or path.stem == "test_assignments":
            # The book's and the course's own sources, and what spans rooms.
            continue
        modules = {p.stem for p in (PACKAGE / room).glob("*.py")} - {"__init__"}
        modules |= {p.parent.name for p in (PACKAGE / room).glob("*/__init__.py")}
        named = path.stem.removeprefix("test_")
        assert any(re.match(rf"{module}(_|$)", named) for module in modules), path


@pytest.mark.parametrize("folder", ["deepsvdd", "tests", "benchmarks", "book"])
def test_modules_are_short(folder):
    """Nobody should have to scroll to see what a module does."""
    lengths = {
        p: len(p.read_text("utf-8").splitlines()) for p in (ROOT / folder).rglob("*.py")
    }
    assert not {p.relative_to(ROOT): n for p, n in lengths.items() if n > 600}


def test_package_imports_nothing_from_around_it():
    around = re.compile(
        r"^\s*(?:from|import) (?:tests|benchmarks|book)\b", re.MULTILINE
    )
    assert not [path for path in MODULES if around.search(path.read_text())]


# --- what is committed ------------------------------------------------------------


def test_bundled_data_is_small_and_has_its_licence():
    bundled = PACKAGE / "datasets/bundled"
    data = [path for path in bundled.rglob("*") if path.is_file()]
    assert any(path.name.startswith("LICENSE") for path in data)
    assert sum(path.stat().st_size for path in data) <= 12 * MEGABYTE


def test_no_committed_file_is_large():
    large = [p for p in repository_files() if p.stat().st_size > 12 * MEGABYTE]
    assert not large


def test_nothing_is_left_to_do(texts):
    unfinished = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
    assert not [name for name, text in texts.items() if unfinished.search(text)]
