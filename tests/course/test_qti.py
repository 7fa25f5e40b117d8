"""Quizzes as QTI, read and answered by a program that others wrote; the command."""

import io
import zipfile

import pytest
from click.testing import CliRunner

from deepsvdd.course.cli import main
from deepsvdd.course.qti import MATHML, qti_1_2, qti_2_1
from tests.course.bank import QUIZZES, all_quizzes, compared, said

# Its last version is of 2017; the formats are older.
ANCIENT = pytest.mark.filterwarnings("ignore::DeprecationWarning:pyslet")


@pytest.fixture(scope="module")
def quizzes():
    return all_quizzes()


# --- QTI: read by pyslet, which answers the items of 2.1 as well -------------------


def walk(element):
    for child in element.get_children():
        if not isinstance(child, str):
            yield child
            yield from walk(child)


def named(element, name):
    return [one for one in walk(element) if one.xmlname == name]


def package(content, folder):
    """Unpack a package: its resources, which are all of its files."""
    from pyslet.imscpv1p2 import ManifestDocument

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    resources = named(read(ManifestDocument, folder, "imsmanifest.xml"), "resource")
    files = [str(f.href) for one in resources for f in named(one, "file")]
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*.xml")}
    assert sorted(files) == sorted(there - {"imsmanifest.xml"})
    needed = {d.identifierref for r in resources for d in named(r, "dependency")}
    assert needed < {one.id for one in resources}
    return resources


def read(kind, folder, name):
    """The root of a document, read by one of pyslet's classes."""
    document = kind()
    with (folder / str(name)).open("rb") as file:
        document.read(src=file)
    return document.root


@ANCIENT
def test_qti_2_1_is_answered_by_pyslet(quizzes, tmp_path):
    from pyslet.qtiv2.variables import ItemSessionState
    from pyslet.qtiv2.xml import QTIDocument

    def answers(item):
        """Give each answer, and see what the item shows then."""
        for choice in named(item, "simpleChoice"):
            session = ItemSessionState(item)
            session.begin_session()
            session["RESPONSE"].set_value(choice.identifier)
            session.end_attempt()
            (shown,) = (
                feedback
                for feedback in named(item, "modalFeedback")
                if session[feedback.outcomeIdentifier].value == feedback.identifier
            )
            yield str(choice), session["SCORE"].value == 1, str(shown)

    roots = {}
    for resource in package(qti_2_1(quizzes), tmp_path):
        root = read(QTIDocument, tmp_path, resource.href)
        roots.setdefault(resource.type, []).append(root)
    tests, items = roots["imsqti_test_xmlv2p1"], roots["imsqti_item_xmlv2p1"]
    assert [one.title for one in tests] == list(quizzes)
    listed = [r.identifier for t in tests for r in named(t, "assessmentItemRef")]
    assert listed == [item.identifier for item in items]
    found = [
        (str(next(iter(walk(named(item, "itemBody")[0])))), [*answers(item)])
        for item in items
    ]
    assert compared(found) == compared(said(quizzes))
    assert "mfrac>" in found[-1][1][0][0]
    assert f'"{MATHML}"' in found[-1][1][0][0]


@ANCIENT
def test_qti_1_2_is_read_by_pyslet(quizzes, tmp_path):
    from pyslet.qtiv1.xml import QTIDocument

    def answers(item):
        """Follow the rules until one says that it is the last."""
        feedback = {one.ident: words(one) for one in named(item, "itemfeedback")}
        for label in named(item, "response_label"):
            score, shown = 0, []
            for rule in named(item, "respcondition"):
                (test,) = named(rule, "varequal")
                if str(test.get_value()) != label.ident:
                    continue
                shown += [one.linkRefID for one in named(rule, "displayfeedback")]
                score += sum(int(one.get_value()) for one in named(rule, "setvar"))
                if not rule.continueFlag:
                    break
            (key,) = shown
            yield words(label), score == 100, feedback[key]

    def words(element):
        return "".join(str(one.get_value()) for one in named(element, "mattext"))

    roots = [
        read(QTIDocument, tmp_path, resource.href)
        for resource in package(qti_1_2(quizzes), tmp_path)
        if resource.type == "imsqti_xmlv1p2"
    ]
    assert [one.Assessment.title for one in roots] == list(quizzes)
    found = [
        (str(named(item, "mattext")[0].get_value()), [*answers(item)])
        for root in roots
        for section in root.Assessment.SectionMixin
        for item in section.SectionItemMixin
    ]
    assert compared(found) == compared(said(quizzes))
    formula = r'data-equation-content="\frac{1}{\nu n} &gt; 0"'
    assert formula in found[-1][1][0][0]


# --- the command ------------------------------------------------------------------


def test_the_command_writes_all_formats_twice_alike(tmp_path):
    for folder in ("first", "second"):
        out = str(tmp_path / folder)
        done = CliRunner().invoke(main, ["quiz", out, "--sources", str(QUIZZES)])
        assert done.exit_code == 0, done.output
    written = {p.name: p.read_bytes() for p in (tmp_path / "first").iterdir()}
    assert len(written) == 4
    assert written == {p.name: p.read_bytes() for p in (tmp_path / "second").iterdir()}


def test_a_name_of_no_format_is_refused(tmp_path):
    out = str(tmp_path / "quizzes.docx")
    done = CliRunner().invoke(main, ["quiz", out, "--sources", str(QUIZZES)])
    assert done.exit_code == 1
    assert "must be a folder, or a name that ends in .gift or .xml" in done.output
