"""Command lines: how a command starts, its flags, its help."""

from youtube8m.cli.startup import check_arguments, load_tensorflow, run

__all__ = ["check_arguments", "load_tensorflow", "run"]
