"""Command lines: how a command starts, its flags, its help."""

from youtube8m.cli.startup import check_arguments, run

__all__ = ["check_arguments", "run"]
