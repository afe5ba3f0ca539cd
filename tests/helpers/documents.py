"""The commands that documents show."""

import re


def shell_commands(text: str) -> list[str]:
    """The lines of the shell blocks of Markdown text; continued ones are joined."""
    blocks = "".join(re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]
