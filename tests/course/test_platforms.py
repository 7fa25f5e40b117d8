"""Downloads are read as what they are: nobody lost, nobody merged, all graded right."""

import io
import unicodedata
import zipfile
from datetime import datetime

import nbformat
import pytest

from deepsvdd.course import archives, batch
from deepsvdd.course.collection import collect
from deepsvdd.course.platforms import student_of, uploads
from deepsvdd.course.source import Assignment
from tests.course import KERNEL, LIMITS, earned
from tests.course.downloads import (
    LAYOUTS,
    MARKS,
    blackboard,
    canvas,
    classroom,
    flat,
    moodle,
    pack,
    unpack,
    works,
)


def people(download, into):
    """Whose uploads a download holds, by identity."""
    return {upload.person for upload in uploads(download, into, ["9-toy"])}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_everybody_is_found_once_and_with_the_right_notebook(
    layout, packed, toy, given, tmp_path
):
    labels, zip_name = LAYOUTS[layout]
    files = layout(given)
    if packed:  # as downloaded, into a folder for downloads
        pack(files, tmp_path / "in" / zip_name)
    else:
        unpack(files, tmp_path / "in")
    found = collect(tmp_path / "in", tmp_path / "into", [toy]).files
    assert [file.student for file in found] == sorted(labels)
    wanted = dict(zip(labels, works(given), strict=False))
    for file in found:
        assert file.path.read_bytes() == wanted[file.student], file.student


@pytest.fixture(scope="module")
def graded(toy, given, tmp_path_factory):
    """The three of each layout, graded from zips."""
    out = tmp_path_factory.mktemp("marks")
    files = []
    for layout, (_, zip_name) in LAYOUTS.items():
        place = tmp_path_factory.mktemp(layout.__name__)
        archive = pack(layout(given), place / zip_name)
        for file in collect(archive, place / "into", [toy]).files:
            files.append((layout, file))
    # One class for each layout; the same notebooks by the same labels are run once.
    marks = {}
    for layout in LAYOUTS:
        own = [file for of, file in files if of is layout]
        results = batch.grade_all(own, out, LIMITS, jobs=2, trust=True)
        marks[layout] = {result.student: result for result in results}
    return marks


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_all_three_of_a_layout_are_graded_right(graded, layout):
    labels, _ = LAYOUTS[layout]
    marks = {student: earned(result) for student, result in graded[layout].items()}
    assert marks == dict(zip(labels, MARKS, strict=True))


def test_what_does_not_count_is_in_the_report(toy, given, tmp_path):
    folder = unpack(canvas(given), tmp_path / "in")
    collection = collect(folder, tmp_path / "into", [toy])
    report = {notice.file: notice.what for notice in collection.report}
    assert report == {
        "exampleada_501_8001_9-toy.ipynb": (
            "another notebook counts: exampleada_501_9001_9-toy-1.ipynb"
        ),
        "exampleada_501_9002_figure.png": "handed in beside the notebook",
        "exampleada_501_text.html": "handed in beside the notebook",
    }
    ada, late, third = collection.files
    assert [file.late for file in (ada, late, third)] == ["no", "yes", "no"]
    assert [path.name for path in ada.pictures] == ["exampleada_501_9002_figure.png"]
    assert ada.remarks == (
        "the newest of several; left out: exampleada_501_8001_9-toy.ipynb",
        "handed in beside the notebook: exampleada_501_9002_figure.png, "
        "exampleada_501_text.html",
    )


def test_moodle_says_not_which_of_two_is_newer(toy, given, tmp_path):
    files = moodle(given)
    folder = "Ada Example_1001_assignsubmission_file"
    files[f"{folder}/9-toy (1).ipynb"] = files[f"{folder}/9-toy.ipynb"]
    archive = pack(files, tmp_path / "a.zip")
    ada = collect(archive, tmp_path / "into", [toy]).files[0]
    assert ada.path.name == "9-toy (1).ipynb"
    assert ada.remarks[0] == "one of several, of one time; left out: 9-toy.ipynb"


def test_scratch_paper_is_no_newer_version(toy, given, tmp_path):
    """A function of the same name makes no notebook one of the assignment."""
    cells = [nbformat.v4.new_code_cell("def mean(v):\n    return 0")]
    scratch = nbformat.writes(nbformat.v4.new_notebook(cells=cells)).encode()
    files = {"jane/mine.ipynb": works(given)[0], "jane/try.ipynb": scratch, "jo/a": b""}
    folder = unpack(files, tmp_path / "in")
    jane, jo = collect(folder, tmp_path / "into", [toy]).files
    assert jane.path.name == "mine.ipynb"
    assert (jo.student, jo.notebook) == ("jo", None)


def test_assignments_are_recognised_by_content_and_by_name(toy, given, tmp_path):
    other = Assignment("8-other", nbformat.v4.new_notebook(metadata=KERNEL))
    ada, *_, scratch = works(given)
    files = {
        "jane.ipynb": ada,
        "joe 8-OTHER.ipynb": scratch,
        "jim.ipynb": scratch,
        "jack-8-other.ipynb": ada,  # misnamed
    }
    folder = unpack(files, tmp_path / "in")
    collection = collect(folder, tmp_path / "1", [other, toy])
    found = {file.student: file.assignment.name for file in collection.files}
    assert found == {"jane": "9-toy", "jack": "9-toy", "joe": "8-other"}
    (notice,) = collection.report
    assert notice.student == "jim"
    assert "none of 8-other, 9-toy: try --assignment" in notice.what
    # If one is asked for, others are not taken for it, and what is none of any is.
    collection = collect(folder, tmp_path / "2", [other, toy], [toy])
    assert [file.student for file in collection.files] == ["jack", "jane", "jim"]
    assert [notice.what for notice in collection.report] == ["is of 8-other"]


def test_blackboard_tells_when(toy, given, tmp_path):
    folder = unpack(blackboard(given), tmp_path / "in")
    due = datetime(2026, 11, 2, 12)
    ada = collect(folder, tmp_path / "into", [toy], due=due).files[0]
    assert (ada.submitted, ada.late) == ("2026-11-02 14:03:20", "yes")


def test_blackboard_without_receipts_keeps_people_apart(given, tmp_path):
    files = {
        name: text for name, text in blackboard(given).items() if "txt" not in name
    }
    names = people(unpack(files, tmp_path / "in"), tmp_path / "into")
    assert names == {
        "blackboard:aexample",
        "blackboard:Toy_homework_b_sample",
        "blackboard:Toy_homework_c_sample",
    }


def test_drive_makes_several_zips(toy, given, tmp_path):
    for number, (name, content) in enumerate(classroom(given).items(), 1):
        zip_name = f"Toy homework-20261103T101500Z-00{number}.zip"
        pack({name: content}, tmp_path / "in" / zip_name)
    found = collect(tmp_path / "in", tmp_path / "into", [toy]).files
    assert [file.student for file in found] == LAYOUTS[classroom][0]


def test_files_without_a_name_are_nobody_elses(toy, given, tmp_path):
    """In a folder of Drive, who handed in what is not always in the name."""
    ada, bo, *_ = works(given)
    files = {"Toy homework/9-toy.ipynb": ada, "Toy homework/9-toy(1).ipynb": bo}
    archive = pack(files, tmp_path / "Toy homework-20261103T101500Z-001.zip")
    collection = collect(archive, tmp_path / "into", [toy])
    assert [file.student for file in collection.files] == ["9-toy", "9-toy(1)"]
    assert {n.what[:36] for n in collection.report} == {
        "the file's name tells no student: gr"
    }


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["jane/deep/9-toy.ipynb", "jo/x.ipynb"], {"jane", "jo"}),
        (["jane/9-toy.ipynb"], {"jane"}),
        (["jane/9-toy.ipynb", "jane/9-toy v2.ipynb", "jo/9-toy.ipynb"], {"jane", "jo"}),
        (["9-toy/jane/a.ipynb", "9-toy/jo/a.ipynb"], {"jane", "jo"}),
        (["9-toy/jane-9-toy.ipynb", "8-x/jo-9-toy.ipynb"], {"jane", "8-x"}),
        (["class/jane.ipynb", "class/jo.ipynb"], {"jane", "jo"}),
        (["a/jane-9-toy.ipynb", "a/jo-9-toy.ipynb", "b/x.ipynb"], {"jane", "jo", "b"}),
        (["a/jane/1.ipynb", "a/jo/1.ipynb", "b/jim/1.ipynb"], {"jane", "jo", "b"}),
        (["jane/9-toy/a.ipynb", "jo/9-toy/a.ipynb"], {"jane", "jo"}),
        (["jane_2024_11_9-toy.ipynb", "jo_2024_11_9-toy.ipynb"],
         {"jane_2024_11", "jo_2024_11"}),
        (["a.pdf", "jane.doe.pdf"], {"a", "jane.doe"}),
    ],
)  # fmt: skip
def test_folders_without_ids_are_read_by_names(paths, expected, tmp_path):
    folder = unpack(dict.fromkeys(paths, b""), tmp_path / "in")
    assert people(folder, tmp_path / "into") == {f"name:{name}" for name in expected}


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("jane-doe-9-toy.ipynb", "jane-doe"),
        ("Copy of jane_9-toy.ipynb", "jane"),
        ("9-toy_Jane Doe.ipynb", "Jane Doe"),
        ("9-TOY Jane Doe (2).ipynb", "Jane Doe"),
        ("Jané Dœ - whatever - final.ipynb", "Jané Dœ"),
        ("jane-doe-9-toy.zip", "jane-doe"),
        ("9-toy.ipynb", ""),
        ("9-toy (3).ipynb", ""),
    ],
)
def test_students_are_named_by_their_files(name, student):
    assert student_of(name, ["9-toy", "toy"]) == student


def test_other_signs_of_canvas(tmp_path):
    names = [
        "LATE_anon_x7Qp_77_a.ipynb",
        "anon_Zz9_78_a.ipynb",
        "dœjané_9_79_a_1_2.ipynb",
        "a_b_10_link.html",
    ]
    folder = unpack(dict.fromkeys(names, b""), tmp_path / "in")
    found = {u.id: (u.name, u.late) for u in uploads(folder, tmp_path / "into", [])}
    assert found == {
        "anon_x7Qp": ("anon_x7Qp", "yes"),
        "anon_Zz9": ("anon_Zz9", "no"),
        "9": ("dœjané", "no"),
        "10": ("a_b", "no"),
    }


# --- zips -------------------------------------------------------------------------


def test_a_zip_that_a_student_handed_in_is_opened(toy, given, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("work/9-toy.ipynb", works(given)[0])
        archive.writestr("__MACOSX/work/._9-toy.ipynb", b"x")
    files = {
        "Ada Example_1001_assignsubmission_file/work.zip": inner.getvalue(),
        "Bo Sample_1002_assignsubmission_file/work.zip": b"no zip",
    }
    archive = pack(files, tmp_path / "a.zip")
    ada, bo = collect(archive, tmp_path / "into", [toy]).files
    assert ada.notebook is not None
    assert (bo.notebook, bo.student) == (None, "Bo Sample (1002)")
    assert "'work.zip' is no readable zip" in bo.problem


def test_names_in_zips_are_read_as_what_they_are(tmp_path):
    """UTF-8 that is not marked as such, decomposed, and steps out of the zip."""
    name = unicodedata.normalize("NFD", "Bö Sample_12_assignsubmission_file/a.ipynb")
    path = pack({f"../{name}": b""}, tmp_path / "a.zip")
    content = path.read_bytes()
    assert name.encode() in content
    for start in (b"PK\x03\x04", b"PK\x01\x02"):  # take the mark away
        place = content.index(start) + (6 if start[2] == 3 else 8)
        flags = bytes([content[place], content[place + 1] & ~8])
        content = content[:place] + flags + content[place + 2 :]
    path.write_bytes(content)
    (upload,) = uploads(path, tmp_path / "into", [])
    assert (upload.id, upload.name) == ("12", "Bö Sample")
    assert (tmp_path / "into") in upload.path.parents


def test_zips_hold_no_more_than_a_course_hands_in(tmp_path, monkeypatch):
    path = pack({f"{n}.ipynb": b"12345" for n in range(3)}, tmp_path / "a.zip")
    monkeypatch.setattr(archives, "LARGEST_FILE", 4)
    (tmp_path / "1").mkdir()
    found = archives.entries(path, tmp_path / "1")
    assert {entry.problem[-20:] for entry in found} == {"is larger than 64 MB"}
    monkeypatch.setattr(archives, "LARGEST_FILE", 5)
    monkeypatch.setattr(archives, "LARGEST_TOTAL", 14)
    (tmp_path / "2").mkdir()
    with pytest.raises(ValueError, match="zips must hold at most 0 GB"):
        archives.entries(path, tmp_path / "2")
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    (tmp_path / "3").mkdir()
    with pytest.raises(ValueError, match="zips must hold at most 2 files"):
        archives.entries(path, tmp_path / "3")


def test_links_are_not_followed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.ipynb").write_text("{}")
    (tmp_path / "in" / "jane-9-toy.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (upload,) = uploads(tmp_path / "in", tmp_path / "into", ["9-toy"])
    assert upload.path is None
    assert upload.problem == "'jane-9-toy.ipynb' is a link, no file"


def test_one_name_in_two_unicode_forms_is_one_name(given, tmp_path):
    names = people(unpack(flat(given), tmp_path / "in"), tmp_path / "into")
    assert names == {"name:ada-example", "name:Bö Sample", "name:Cy Specimen"}
