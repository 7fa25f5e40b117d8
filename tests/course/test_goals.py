"""Learning goals: every one is tested, and everything that tests names its own."""

import shutil

import pytest

from deepsvdd.course.goals import (
    Evidence,
    Goal,
    chapters,
    matrix,
    problems,
    read_goals,
    read_tested,
)
from tests import ROOT

BOOK = ROOT / "book"


@pytest.fixture(scope="module")
def goals():
    return read_goals(BOOK)


@pytest.fixture(scope="module")
def tested():
    return read_tested(BOOK)


def test_every_goal_is_tested_and_every_test_has_a_goal(goals, tested):
    assert list(problems(goals, tested)) == []
    kinds = {one.kind: one for one in tested}
    assert set(kinds) == {"question", "exercise", "task"}


def test_all_exercises_and_tasks_are_found(tested):
    """As counted without the patterns of the module."""
    for chapter, path in chapters(BOOK).items():
        text = path.read_text("utf-8").partition("## Exercises")[2]
        numbers = [o.number for o in tested if (o.kind, o.of) == ("exercise", chapter)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) == sum(f'"**{n}.** ' in text for n in range(1, 9)), path
    tasks = [(one.of, one.number) for one in tested if one.kind == "task"]
    assert tasks == [(of, number) for of in range(1, 6) for number in range(1, 11)]


def test_goals_have_the_words_of_the_chapter(goals):
    assert goals["10.3"] == Goal(
        10, 3, "to derive a bootstrap interval, and what it leaves out"
    )
    assert {goal.chapter for goal in goals.values()} == set(chapters(BOOK))
    assert all(len(goal.text) > 15 for goal in goals.values())


@pytest.mark.parametrize(
    ("tested", "found"),
    [
        ([], "nothing tests goal 1.1"),
        ([Evidence("task", 3, 2, ())], "task 2 of assignment 3 names no goal"),
        (
            [Evidence("question", 1, 2, ("1.7",))],
            "question 2 of chapter 1 names goal 1.7, which does not exist",
        ),
    ],
)
def test_what_is_amiss_is_said(tested, found):
    assert found in problems({"1.1": Goal(1, 1, "to count")}, tested)


def test_the_matrix_names_what_tests_a_goal():
    goals = {"2.1": Goal(2, 1, "to count"), "2.2": Goal(2, 2, "to add")}
    tested = [
        Evidence("question", 2, 4, ("2.1", "2.2")),
        Evidence("exercise", 2, 1, ("2.1",)),
        Evidence("task", 3, 5, ("2.1",)),
    ]
    first, second = (found for _, found in matrix(goals, tested))
    assert first == {"question": ["4"], "exercise": ["1"], "task": ["3.5"]}
    assert second == {"question": ["4"], "exercise": [], "task": []}


def test_a_chapter_without_numbered_goals_is_named(tmp_path):
    path = chapters(BOOK)[9]
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    assert len(read_goals(tmp_path)) == 5
    copy.write_text(copy.read_text("utf-8").replace('"2. ', '"3. ', 1), "utf-8")
    with pytest.raises(ValueError, match=r"09-gpu.ipynb must number its goals from 1"):
        read_goals(tmp_path)
