"""The line that a reader sees below what he or she wrote."""

import pytest

from deepsvdd.course.practice import trying


def said(capsys, *, error=None):
    with trying("half"):
        if error:
            raise error
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "half: right\n"),
        (NotImplementedError(), "half: not written yet\n"),
        (AssertionError("half of 4 is 2"), "half: not right yet. half of 4 is 2\n"),
        (AssertionError(), "half: not right yet.\n"),
        (KeyError("x"), "half: not right yet. KeyError: 'x'\n"),
    ],
)
def test_one_line_says_how_it_went(capsys, error, expected):
    assert said(capsys, error=error) == expected


def test_who_interrupts_is_obeyed():
    with pytest.raises(KeyboardInterrupt), trying("half"):
        raise KeyboardInterrupt
