"""What users are told of errors that are not ours."""

import errno

import pytest

from youtube8m.errors import UserError, reason, unknown_name

NODE = "{{function_node __wrapped__SaveV2_dtypes_3_device_/job:localhost/device:CPU:0}}"


class OfTensorFlow(Exception):
    message = f"{NODE} /run/part-0; File too large [Op:SaveV2] name: \ntrace"


@pytest.mark.parametrize(
    "error, told",
    [
        (
            OSError(errno.ENOENT, "No such file or directory"),
            "No such file or directory",
        ),
        (OfTensorFlow(), "/run/part-0; File too large"),
        (ValueError("a first line\nand a second"), "a first line"),
        (ValueError("{'a': {'b': 1}} [Option: x]"), "{'a': {'b': 1}} [Option: x]"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_reason_is_one_line_without_codes(error, told):
    found = reason(error)
    assert found == told


def test_an_error_has_one_line():
    assert str(UserError("--flag=a\nb: is wrong")) == "--flag=a b: is wrong"
    message = str(unknown_name("--model", "logisticmodel", ["LogisticModel", "Moe"]))
    assert message.endswith("did you mean LogisticModel?")
