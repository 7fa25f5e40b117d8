"""Quizzes for Moodle, read by programs that others wrote."""

import json
import os
import shutil
import subprocess

import pytest

from deepsvdd.course.moodle import gift, moodle_xml
from tests import ROOT
from tests.course.bank import HARD, all_quizzes, compared, said

GIFT = ROOT / "_build/npm/node_modules/gift-pegjs"


@pytest.fixture(scope="module")
def quizzes():
    return all_quizzes()


def test_gift_is_read_by_gift_pegjs(quizzes, tmp_path):
    node = shutil.which("node")
    if node is None or not GIFT.exists():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("needs Node.js and `make vendor`")
    (tmp_path / "quizzes.gift").write_text(gift(quizzes), "utf-8")
    program = (
        "const {readFileSync} = require('fs');"
        f"const {{parse}} = require({json.dumps(str(GIFT))});"
        "console.log(JSON.stringify(parse(readFileSync('quizzes.gift', 'utf8'))))"
    )
    done = subprocess.run(
        [node, "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    read = json.loads(done.stdout)
    categories = [one["title"] for one in read if one["type"] == "Category"]
    assert categories == list(quizzes)
    found = [
        (
            one["stem"]["text"],
            [
                (c["text"]["text"], c["isCorrect"], c["feedback"]["text"])
                for c in one["choices"]
            ],
        )
        for one in read
        if one["type"] == "MC"
    ]
    assert compared(found) == compared(said(quizzes))
    assert r"\(\frac{1}{\nu n} &gt; 0\)" in found[-1][1][0][0]


def test_moodle_xml_is_read_by_moodle_xml_parser(quizzes):
    from moodle_xml_parser.parser import parse_bytes

    read = parse_bytes(moodle_xml(quizzes).encode())["multichoice"]
    assert all(one.single and one.shuffle_answers for one in read)
    found = [
        (
            one.text_pre_parse,
            [(o.answer, o.score_fraction == 100, o.feedback) for o in one.options],
        )
        for one in read
    ]
    assert {o.score_fraction for one in read for o in one.options} == {0, 100}
    assert compared(found) == compared(said(quizzes))
    assert r"\(\frac{1}{\nu n} > 0\)" in found[-1][1][0][0]


def test_moodle_xml_has_categories_and_goals():
    from xml.etree import ElementTree as ET

    root = ET.fromstring(moodle_xml(HARD).encode())
    assert root.findtext("question/category/text") == "$course$/top/Chapter 1"
    tags = [tag.text for tag in root.iterfind("question/tags/tag/text")]
    assert tags == ["goal 2", "goal 3"]
