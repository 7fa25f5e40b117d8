"""Values are read at the door."""

import pytest

from deepsvdd.cli.options import class_label, sizes, whole_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]),
        ("0-2,5", [0, 1, 2, 5]),
        (" 3 , 007-8", [3, 7, 8]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_lists_of_numbers(text, numbers):
    assert whole_numbers(text, "seeds") == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "0,9-5", "1.0", "²"])
def test_what_is_no_list_of_numbers(text):
    with pytest.raises(ValueError, match=r"seeds must be like 0-9 or 0,3,5-7; got "):
        whole_numbers(text, "seeds")


@pytest.mark.parametrize(
    "text", ["0-999999999999", "0-10000", "0,1-10000", 5000 * "9", "4294967296"]
)
def test_lists_of_too_many_or_too_large_numbers(text):
    with pytest.raises(ValueError, match="seeds must be at most 10000 numbers") as told:
        whole_numbers(text, "seeds")
    assert len(str(told.value)) < 200
    assert len(whole_numbers("0-9999", "seeds")) == 10_000


def test_sizes_keep_their_order_and_may_be_equal():
    assert sizes("16, 8,8,064", "widths") == (16, 8, 8, 64)


@pytest.mark.parametrize("text", ["", "16,", "-1", "a", "1.5", "8-16", 5000 * "x"])
def test_what_are_no_sizes(text):
    with pytest.raises(ValueError, match="widths must be like 64,32 or 16,8") as told:
        sizes(text, "widths")
    assert len(str(told.value)) < 200


def test_a_class_is_a_number_or_a_name():
    assert class_label("3") == 3
    assert class_label("stop") == "stop"
    assert class_label("-1") == "-1"
    assert class_label(5000 * "9") >= 10**10
