"""Rooms import only from rooms below them, and models from no TensorFlow."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "youtube8m"

# From the ground up; what shares a line must not import one another.
ROOMS = [
    {"schema", "errors", "__init__"},
    {"config", "files", "presets", "progress", "registry", "text"},
    {"data", "layers"},
    {"models", "losses", "metrics", "optimizers"},
    {"starter_checkpoints"},
    {"runs"},
    {"training"},
    {"archives", "best", "prediction", "submission"},
    {"evaluation", "inference", "ensemble", "export", "segment_evaluation"},
    {"benchmarks"},
    {"flags", "cli"},
    {"tools"},
]
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "youtube8m":
            yield from (f"youtube8m.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    here = room_of(path)
    for module in imported_modules(path):
        if module.startswith("youtube8m."):
            there = module.split(".")[1]
            assert there == here or FLOOR[there] < FLOOR[here], module


@pytest.mark.parametrize("room", ["layers", "models", "losses", "metrics"])
def test_no_tensorflow_at_import_of_backend_neutral_rooms(room):
    files = [path for path in FILES if room_of(path) == room]
    assert files
    for path in files:
        top_level = ast.parse(path.read_text()).body
        names = [
            alias.name
            for node in top_level
            if isinstance(node, ast.Import)
            for alias in node.names
        ]
        assert "tensorflow" not in names, path
