"""Downloads as learning platforms make them, with invented people and their work.

The names of folders and files are built as the platforms' own programs build them;
`deepsvdd.course.platforms` says where that stands. Ada's notebook is right, Bo's has a
wrong mean, and the third person's has none.
"""

import os
import unicodedata
import zipfile

import nbformat

from tests.course import FULL, MEAN, MEDIAN, handed_in

PNG = b"\x89PNG\r\n\x1a\n not really"
RECEIPT = """\
Name: {name} ({user})
Assignment: Toy_homework
Date Submitted: Monday, November 2, 2026 2:03:20 PM CET
Current Grade: Needs Grading

Submission Field:
There is no student submission text data for this assignment.

Comments:
There are no student comments for this assignment.

Files:
\tOriginal filename: 9-toy.ipynb
\tFilename: Toy_homework_{user}_attempt_2026-11-02-14-03-20_9-toy.ipynb
"""


def works(given):
    """Three notebooks as text, and one that is none of the assignment's."""
    stub = {"mean": "# task: mean\nraise NotImplementedError"}
    books = [
        handed_in(given, mean=MEAN),
        handed_in(given, mean=MEDIAN),
        handed_in(given, **stub),
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('scratch')")]),
    ]
    return [nbformat.writes(book).encode() for book in books]


NO_MEAN = FULL | {"mean-value": 0.0, "mean-even": 0.0}
MARKS = [FULL, FULL | {"mean-even": 0.0}, NO_MEAN]


def moodle(given):
    """Files and online text in folders; two people of one name."""
    ada, bo, third, scratch = works(given)
    return {
        "Ada Example_1001_assignsubmission_file/9-toy.ipynb": ada,
        "Ada Example_1001_assignsubmission_file/figure.png": PNG,
        "Ada Example_1001_assignsubmission_onlinetext/onlinetext.html": b"<html>",
        "Bo Sample_1002_assignsubmission_file/deep/my work.ipynb": bo,
        "Bo Sample_1002_assignsubmission_file/scratch.ipynb": scratch,
        "Bo Sample_1003_assignsubmission_file/9-toy.ipynb": third,
        "Bo Sample_1003_assignsubmission_onlinetext/onlinetext.html": b"<html>",
    }


def moodle_before_4(given):
    """The same with "_" at the end of each folder's name."""
    files = {}
    for path, content in moodle(given).items():
        folder, _, file = path.partition("/")
        files[f"{folder}_/{file}"] = content
    return files


def moodle_flat(given):
    """The same without folders, as Moodle writes it on request."""
    return {path.replace("/", "_"): text for path, text in moodle(given).items()}


def canvas(given):
    """One folder; two people of one name, one of them late; an earlier attachment."""
    ada, bo, third, _ = works(given)
    return {
        "exampleada_501_9001_9-toy-1.ipynb": ada,
        "exampleada_501_8001_9-toy.ipynb": bo,
        "exampleada_501_9002_figure.png": PNG,
        "exampleada_501_text.html": b"<html>",
        "samplebo_LATE_502_9003_9-toy.ipynb": bo,
        "samplebo_503_9004_my 2 works_2026_final.ipynb": third,
    }


def blackboard(given):
    """Receipts, two attempts, and user names with "_" that end alike."""
    ada, bo, third, _ = works(given)
    early = "Toy_homework_aexample_attempt_2026-11-01-09-00-00"
    files = {
        f"{early}_9-toy.ipynb": third,
        f"{early}.txt": RECEIPT.format(name="Ada Example", user="aexample").encode(),
    }
    for user, name, work in (
        ("aexample", "Ada Example", ada),
        ("b_sample", "Bo Sample", bo),
        ("c_sample", "Bo Sample", third),
    ):
        head = f"Toy_homework_{user}_attempt_2026-11-02-14-03-20"
        files[f"{head}.txt"] = RECEIPT.format(name=name, user=user).encode()
        files[f"{head}_9-toy.ipynb"] = work
    return files


def classroom(given):
    """A folder of Google Drive, which has names and no ids."""
    ada, bo, third, _ = works(given)
    return {
        "Toy homework/Ada Example - Toy homework.ipynb": ada,
        "Toy homework/Ada Example - figure.png": PNG,
        "Toy homework/Bo Sample - 9-toy.ipynb": bo,
        "Toy homework/Copy of Cy Specimen - 9-toy.ipynb": third,
    }


def flat(given):
    """A folder of files; one name in both of its Unicode forms."""
    ada, bo, third, _ = works(given)
    return {
        "ada-example-9-toy.ipynb": ada,
        f"{unicodedata.normalize('NFD', 'Bö Sample')}-9-toy.ipynb": third,
        f"{unicodedata.normalize('NFC', 'Bö Sample')}-9-toy (1).ipynb": bo,
        "9-toy_Cy Specimen.ipynb": third,
    }


# The layout → who of the three, by label, and how the zip is called.
LAYOUTS = {
    moodle: (
        ["Ada Example (1001)", "Bo Sample (1002)", "Bo Sample (1003)"],
        "ML-Homework-4711.zip",
    ),
    moodle_before_4: (
        ["Ada Example (1001)", "Bo Sample (1002)", "Bo Sample (1003)"],
        "ML-Homework-4711.zip",
    ),
    moodle_flat: (
        ["Ada Example (1001)", "Bo Sample (1002)", "Bo Sample (1003)"],
        "ML-Homework-4711.zip",
    ),
    canvas: (
        ["exampleada (501)", "samplebo (502)", "samplebo (503)"],
        "submissions.zip",
    ),
    blackboard: (
        ["Ada Example (aexample)", "Bo Sample (b_sample)", "Bo Sample (c_sample)"],
        "gradebook_ML_Toy_homework_2026-11-03-10-15-00.zip",
    ),
    classroom: (
        ["Ada Example", "Bo Sample", "Cy Specimen"],
        "Toy homework-20261103T101500Z-001.zip",
    ),
    flat: (["ada-example", "Bö Sample", "Cy Specimen"], "submissions.zip"),
}


def unpack(files, folder):
    """Write files as an unpacked download, later ones a minute younger."""
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1.7e9 + 60 * number, 1.7e9 + 60 * number))
    return folder


def pack(files, path):
    """Write files as a zip; as most programs do, with the time of the download."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            time = (2026, 11, 3, 10, 15, 0)
            if "(1)" in name:
                time = (2026, 11, 3, 10, 16, 0)
            archive.writestr(zipfile.ZipInfo(name, time), content)
    return path
