"""Command lines: how a command starts, its flags, its help."""

from youtube8m.cli.startup import run

__all__ = ["run"]
