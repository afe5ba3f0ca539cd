"""Text for people to read."""

from youtube8m.util.text import aligned, shortened


def test_columns_are_aligned():
    rows = [("name", "value", "unit"), ("a", "12", "s"), ("long name", "3", "")]
    assert aligned(rows, numbers=[1]) == [
        "name       value  unit",
        "a             12  s",
        "long name      3",
    ]


def test_only_long_text_is_cut():
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("a" * 11, 10) == "a" * 7 + "..."
