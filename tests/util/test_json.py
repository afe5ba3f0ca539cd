"""Whatever a file holds, the result is a value of the right form or a JsonError."""

import pytest

from youtube8m.errors import UserError
from youtube8m.util.json import JsonError, parse_json, read_json


def step(values):
    return values["steps"][0] + 0


@pytest.mark.parametrize("kind", [str, str.encode])
def test_values_are_converted(kind):
    assert parse_json(kind('{"steps": [7]}'), step) == 7
    assert parse_json(kind('[1, "ü"]')) == [1, "ü"]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", "9" * 5000])
def test_text_that_is_not_json(text):
    with pytest.raises(JsonError, match=r"^not JSON \(.+\)$"):
        parse_json(text)


@pytest.mark.parametrize("text", ["7", "{}", '{"steps": []}', '{"steps": ["a"]}', "[]"])
def test_values_of_another_form(text):
    assert parse_json(text) is not None
    with pytest.raises(JsonError) as error:
        parse_json(text, step)
    assert "not JSON" not in str(error.value)


def test_numbers_out_of_range():
    with pytest.raises(JsonError):
        parse_json("1e999", int)


def test_mistakes_of_users_are_passed_on():
    def convert(_):
        raise UserError("a flag is wrong")

    with pytest.raises(UserError, match="a flag is wrong"):
        parse_json("{}", convert)


def test_files(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(JsonError, match="cannot be read .No such file"):
        read_json(path)
    path.write_text('{"steps": [7]}')
    assert read_json(path, step) == 7
