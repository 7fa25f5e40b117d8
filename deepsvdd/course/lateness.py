"""What being late costs: a rule for all, and more time for some.

A rule is a text such as ``10% per day, at most 3 days``. Each day that has begun after
the time to hand in costs that share of the points a student has earned; after the last
day nothing counts. Points themselves stay as they are, with the deduction beside them.
"""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deepsvdd.course.collection import Found, Notice
from deepsvdd.course.markbook import LATENESS, Entry, Final
from deepsvdd.course.tables import number_of

_RULE = re.compile(
    r"\s*(?P<share>\d+(?:[.,]\d+)?)\s*(?:%|percent)\s*(?:per|a|/)\s*day"
    r"(?:\s*,?\s*at most\s+(?P<days>\d+)\s+days?)?\s*\.?\s*",
    re.IGNORECASE,
)
DAY = timedelta(days=1)
MOST_DAYS = 366
# Moodle's status, in English: "… 1 day 3 hours late" (mod/assign/gradingtable.php,
# format_time of lib/moodlelib.php).
_UNITS = {"year": 365 * 86400, "day": 86400, "hour": 3600, "min": 60, "sec": 1}
_LATE = re.compile(r"((?:\d+ (?:year|day|hour|min|sec)s?\s*)+) late", re.IGNORECASE)
EXTENSION, DAYS_LATE = LATENESS


@dataclass(frozen=True)
class LateRule:
    """A share of the points for each day, and how many days are accepted.

    Parameters
    ----------
    share : from 0 to 1, of the points earned
    days : the last day that counts, or None if any does
    """

    share: float
    days: int | None = None

    def factor(self, days: int) -> float:
        """Return the share of the points that is taken off after so many days.

        Examples
        --------
        >>> rule = LateRule(0.1, days=3)
        >>> [rule.factor(days) for days in (0, 2, 3, 4)]
        [0.0, 0.2, 0.30000000000000004, 1.0]
        """
        if self.days is not None and days > self.days:
            return 1.0
        return min(1.0, self.share * days)

    def __str__(self) -> str:
        """Say the rule in words."""
        last = "" if self.days is None else f", nothing after {self.days} day(s)"
        return f"{100 * self.share:g} % of the points for each day begun{last}"


def read_rule(text: str) -> LateRule:
    """Read a rule.

    Raises
    ------
    ValueError
        If it is none, or takes off nothing or more than everything.

    Examples
    --------
    >>> read_rule("10% per day, at most 3 days")
    LateRule(share=0.1, days=3)
    """
    match = _RULE.fullmatch(text)
    share = (number_of(match["share"]) or 0) / 100 if match else 0
    days = number_of(match["days"]) if match and match["days"] else None
    if match is None or not 0 < share <= 1 or (days or 0) > MOST_DAYS:
        raise ValueError(
            "late must be like '10% per day, at most 3 days', with more than 0% and up "
            f"to 100%, and up to {MOST_DAYS} days; got '{text}'"
        )
    return LateRule(share, None if days is None else int(days))


def end_of(text: str) -> datetime:
    """Return until when one may hand in: a day without a time lasts until its end.

    Raises
    ------
    ValueError
        If it is no date of this time, or has a time zone.

    Examples
    --------
    >>> end_of("2026-11-05"), end_of("2026-11-05 23:59")
    (datetime.datetime(2026, 11, 6, 0, 0), datetime.datetime(2026, 11, 5, 23, 59))
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is not None or not 1970 <= time.year <= 9000:
        raise ValueError("not like 2026-11-05 or 2026-11-05 23:59")
    return time + DAY if len(text) <= 10 else time


def apply(
    rule: LateRule, due: datetime | None, found: Found, entry: Entry, final: Final
) -> tuple[Final, list[Notice]]:
    """Return the marks with what being late takes off, and what is in doubt.

    How late somebody was is, in this order: what a person typed (``days late`` in the
    mark book or the roster); the time that the platform gives, against `due` and the
    student's ``extension``; how late Moodle's worksheet says. If only that somebody was
    late is known, nothing is taken off, and a notice says so.

    Raises
    ------
    ValueError
        If an extension or a number of days cannot be read.
    """
    cells: dict[str, str] = {}
    if found.person.row is not None:
        cells = {name.lower(): text for name, text in found.person.row.cells.items()}
    cells |= entry.lateness
    where = found.student
    typed = cells.get(DAYS_LATE, "")
    if typed:
        days = number_of(typed)
        if days is None or not 0 <= days <= MOST_DAYS:
            raise ValueError(
                f"{where}: days late must be a number from 0 to 366; got '{typed[:40]}'"
            )
        return late_by(rule, math.ceil(days), final), []
    extra, own_due = extension_of(cells.get(EXTENSION, ""), where)
    due = own_due or (due + extra if due is not None else None)
    over = None
    with contextlib.suppress(ValueError):  # Moodle writes dates in the user's language
        if due is not None:
            over = datetime.fromisoformat(found.submitted) - due
    match = _LATE.search(cells.get("status", ""))
    if over is None and match and own_due is None:  # counted from the platform's time
        over = duration(match[1]) - extra
    if over is None:
        if found.late != "yes":
            return late_by(rule, 0, final), []
        what = "late, but nobody knows how much: nothing taken off; type 'days late'"
        return late_by(rule, 0, final), [Notice(where, "", what, doubt=True)]
    return late_by(rule, max(0, math.ceil(over / DAY)), final), []


def late_by(rule: LateRule, days: int, final: Final) -> Final:
    """Return marks with the deduction for so many days."""
    return replace(final, days_late=days, taken_off=rule.factor(days))


def duration(text: str) -> timedelta:
    """Read how long something took, as Moodle writes it.

    Examples
    --------
    >>> duration("1 day 3 hours")
    datetime.timedelta(days=1, seconds=10800)
    """
    pairs = re.findall(r"(\d+) (year|day|hour|min|sec)", text.lower())
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in pairs))


def extension_of(text: str, where: str) -> tuple[timedelta, datetime | None]:
    """Read an extension: a number of days, or the day until which one may hand in."""
    if not text:
        return timedelta(), None
    days = number_of(text)
    if days is not None and 0 <= days <= MOST_DAYS:
        return days * DAY, None
    with contextlib.suppress(ValueError):
        return timedelta(), end_of(text)
    raise ValueError(
        f"{where}: extension must be a number of days from 0 to 366, or a date like "
        f"2026-11-07 or 2026-11-07 23:59; got '{text[:40]}'"
    )
