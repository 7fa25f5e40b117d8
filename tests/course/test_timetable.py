"""The timetable: both plans can be followed from top to bottom."""

from dataclasses import replace

import pytest

from deepsvdd.course.source import read_assignments
from deepsvdd.course.timetable import Reading, needs, problems, read_timetable
from tests import ROOT

BOOK = ROOT / "book"
PLANS = read_timetable(BOOK / "timetable.yml")
SIX = "six weeks"


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_can_be_followed(plan):
    assert list(problems(PLANS[plan], BOOK)) == []


def test_the_full_plan_has_every_task_once_and_every_deck():
    handed = sorted(
        (name, task)
        for session in PLANS[SIX]
        for name, numbers in session.tasks.items()
        for task in numbers
    )
    names = [one.name for one in read_assignments([BOOK / "assignments"])]
    assert handed == [(name, task) for name in names for task in range(1, 11)]
    shown = {deck for session in PLANS[SIX] for deck in session.slides}
    assert shown == {int(path.stem) for path in (BOOK / "slides").glob("[0-9]*.md")}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"minutes": ((80, "talk"),)}, "session 2 has 80 minutes, not 90"),
        ({"slides": (9,)}, "session 2 shows slides 9, which do not exist"),
        ({"quizzes": (99,)}, "session 2 has quiz 99, which does not exist"),
        ({"quizzes": (4,)}, "session 2 has quiz 4 of a chapter not yet read"),
        (
            {"read": (Reading("20-end"),)},
            "session 2 reads 20-end, which does not exist",
        ),
        (
            {"read": (Reading("02-kernel-svdd", to="Nothing"),)},
            "session 2: 02-kernel-svdd has no section 'Nothing'",
        ),
        (
            {"tasks": {"1-metrics": (11,)}},
            "session 2, task 11 of 1-metrics does not exist",
        ),
        (
            {"tasks": {"1-metrics": (4, 5, 6, 8)}},
            "session 2, task 8 of 1-metrics calls task 7, which comes later",
        ),
        (
            {"tasks": {"2-svdd": (1,)}},
            "session 2, task 1 of 2-svdd asks for goal 2.2 of a chapter not yet read",
        ),
    ],
)
def test_what_cannot_be_done_is_said(change, found):
    first, second, *rest = PLANS[SIX]
    assert found in list(problems([first, replace(second, **change), *rest], BOOK))


def test_needs_are_read_off_the_cells():
    found = {one.name: needs(one) for one in read_assignments([BOOK / "assignments"])}
    assert found["1-metrics"][8] == {1, 4, 5, 6, 7}
    assert found["3-deep-svdd"][6] == {3, 4}
    assert found["4-collapse"][8] == set()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{title: t}", "one, session 1 must have minutes, quizzes"),
        (
            "{title: t, minutes: [[x]], slides: [], read: [], quizzes: [], tasks: {}}",
            "one, session 1 cannot be read",
        ),
        (
            "{title: t, minutes: [], slides: [], read: [], quizzes: [], tasks: 3}",
            "one, session 1 cannot be read",
        ),
    ],
)
def test_a_wrong_session_is_named(entry, message, tmp_path):
    path = tmp_path / "timetable.yml"
    path.write_text(f"one:\n  - {entry}\n")
    with pytest.raises(ValueError, match=message):
        read_timetable(path)
