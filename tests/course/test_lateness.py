"""What being late costs, and to whom more time was given."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
import pytest

from deepsvdd.course import feedback, gradebook, lateness
from deepsvdd.course.cli import Due
from deepsvdd.course.collection import Found, Person
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.lateness import LateRule, apply, read_rule
from deepsvdd.course.markbook import Entry, merge
from deepsvdd.course.roster import read_roster

RULE = LateRule(0.1, 3)
DUE = datetime(2026, 11, 5, 23, 59)


@pytest.fixture
def final(toy):
    marks = {name: Mark(points, "passed") for name, points in toy.points.items()}
    marks.pop("why")
    return merge(toy, Result("jane", "9-toy", "a.ipynb", marks), Entry({"why": 2}))


def row_of(tmp_path, **cells):
    path = tmp_path / "roster.csv"
    path.write_text(
        "\n".join(",".join(line) for line in zip(*cells.items(), strict=True))
    )
    return read_roster(path).students[0]


def found(toy, submitted="", late="", row=None):
    person = Person("jane", "Jane Doe", "12", row=row)
    path = Path("a.ipynb")
    return Found(path, "jane", toy, None, "", person, late, submitted)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10% per day, at most 3 days", LateRule(0.1, 3)),
        ("12.5 % per day", LateRule(0.125)),
        ("5 percent a day at most 1 day", LateRule(0.05, 1)),
        ("100%/day", LateRule(1.0)),
        ("10% per day, at most 0 days", LateRule(0.1, 0)),
    ],
)
def test_rules_are_read(text, rule):
    assert read_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "0% per day", "101% per day", "10% a week"),
        "10% per day, at most 367 days",
    ],
)
def test_what_is_no_rule_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="late must be like '10% per day") as error:
        read_rule(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("submitted", "days", "mark"),
    [
        ("2026-11-05 23:59:00", 0, 8),
        ("2026-11-05 23:59:01", 1, 7.2),
        ("2026-11-06 23:59:00", 1, 7.2),
        ("2026-11-07 00:00:00", 2, 6.4),
        ("2026-11-08 23:00:00", 3, 5.6),
        ("2026-11-09 12:00:00", 4, 0),
    ],
)
def test_every_day_begun_costs_its_share(toy, final, submitted, days, mark):
    done, notices = apply(RULE, DUE, found(toy, submitted), Entry(), final)
    assert (done.days_late, done.mark, done.total()) == (days, mark, 8)
    assert notices == []


@pytest.mark.parametrize("points", [1.125, 1.115])
def test_if_nothing_counts_nothing_remains_and_never_less(toy, final, points):
    own = replace(final, points={"why": points})
    for rule in (LateRule(1.0), LateRule(0.999)):
        done = lateness.late_by(rule, 1, own)
        assert 0 <= done.mark <= 0.01
        assert done.mark == 0 or rule.share < 1


@pytest.mark.parametrize(
    ("text", "days"), [("1", 1), ("0,5", 1), ("2026-11-07", 0), ("2026-11-06 12:00", 1)]
)
def test_an_extension_gives_more_time(toy, final, text, days):
    file = found(toy, "2026-11-07 10:00:00")
    entry = Entry(lateness={"extension": text})
    assert apply(RULE, DUE, file, entry, final)[0].days_late == days


def test_the_roster_may_hold_it_and_the_mark_book_comes_first(toy, final, tmp_path):
    row = row_of(tmp_path, id="12", name="Jane Doe", Extension="1")
    file = found(toy, "2026-11-07 10:00:00", row=row)
    assert apply(RULE, DUE, file, Entry(), final)[0].days_late == 1
    typed = Entry(lateness={"extension": "9"})
    assert apply(RULE, DUE, file, typed, final)[0].days_late == 0
    typed = Entry(lateness={"days late": "3"})
    assert apply(RULE, DUE, file, typed, final)[0].days_late == 3


def test_moodle_says_how_late_somebody_was(toy, final, tmp_path):
    status = "Submitted for grading - Not marked - 1 day 3 hours late"
    row = row_of(tmp_path, id="12", name="Jane Doe", Status=status)
    done, _ = apply(RULE, None, found(toy, "", "yes", row), Entry(), final)
    assert done.days_late == 2
    assert lateness.duration("1 year 1 day").days == 366
    more = Entry(lateness={"extension": "1"})
    assert apply(RULE, None, found(toy, "", "yes", row), more, final)[0].days_late == 1


def test_if_only_that_somebody_was_late_is_known_a_person_decides(toy, final):
    done, (notice,) = apply(RULE, None, found(toy, late="yes"), Entry(), final)
    assert (done.mark, done.days_late) == (8, 0)
    assert notice.doubt
    assert "type 'days late'" in notice.what
    done, notices = apply(RULE, None, found(toy, late="no"), Entry(), final)
    assert (done.days_late, notices) == (0, [])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"extension": "soon"}, "extension must be a number of days"),
        ({"extension": "-1"}, "extension must be"),
        ({"extension": "2026-11-07T12:00+01:00"}, "extension must be"),
        ({"extension": "9999-12-31"}, "extension must be"),
        ({"days late": "many"}, "days late must be a number from 0 to 366; got 'many'"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_students_name(toy, final, cell, words):
    with pytest.raises(ValueError, match=words) as error:
        apply(RULE, DUE, found(toy), Entry(lateness=cell), final)
    assert str(error.value).startswith("jane: ")


def test_table_page_and_gradebook_show_what_was_earned_and_what_remains(toy, final):
    file = found(toy, "2026-11-06 10:00:00", "yes")
    late, _ = apply(RULE, DUE, file, Entry(), final)
    head, line = feedback.table(toy, [(file, late)]).splitlines()
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert (cells["total (8)"], cells["days late"]) == ("8", "1")
    assert (cells["deduction"], cells["mark"]) == ("0.8", "7.2")
    page = " ".join(feedback.page(toy, late, file).split())
    assert "8 of 8 points" in page
    assert "1 day late: 0.8 points are taken off" in page
    assert gradebook.grade_of(late) == "7.2"
    assert "deduction" not in feedback.table(toy, [(file, final)])


def test_the_rule_says_itself_in_words():
    assert str(RULE) == "10 % of the points for each day begun, nothing after 3 day(s)"
    assert lateness.read_rule("10% per day").factor(20) == 1.0


def test_a_day_without_a_time_lasts_until_its_end_in_due_as_elsewhere():
    read = Due().convert
    assert read("2026-11-05", None, None) == datetime(2026, 11, 6)
    assert read("2026-11-05 23:59", None, None) == DUE
    for text in ("soon", "2026-11-05T23:59+01:00", "9999-12-31"):
        with pytest.raises(click.BadParameter, match="must be a date like 2026-11-05"):
            read(text, None, None)
