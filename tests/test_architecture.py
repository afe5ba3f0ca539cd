"""Rooms import only from rooms below them, and tests from no other test."""

import ast
import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).parent
PACKAGE = TESTS.parent / "youtube8m"

# From the ground up; what shares a line must not import one another.
ROOMS = [
    {"schema", "errors", "__init__"},
    {"registry", "compat", "util"},
    {"config"},
    {"data", "layers"},
    {"losses", "metrics", "optimizers"},
    {"models"},
    {"runs"},
    {"training", "prediction"},
    {"evaluation"},
    {"extraction"},
    {"reports"},
    {"export"},
    {"benchmarks"},
    {"cli"},
    {"tools"},
]
SOURCES = PACKAGE / "models"
# Names that several folders may have: of modules of a paper, of flags of a command.
SHARED_NAMES = {"__init__", "encoders", "classifiers", "presets", "config"}
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


def all_imported_modules(path):
    """Of the package, also by way of other modules."""
    found, waiting = set(), [path]
    while waiting:
        for module in imported_modules(waiting.pop()):
            if module.startswith("youtube8m.") and module not in found:
                found.add(module)
                # `from module import name`: the name may be a module, too, or not.
                file = PACKAGE.parent.joinpath(*module.split("."))
                candidates = (file.with_suffix(".py"), file / "__init__.py")
                waiting += [each for each in candidates if each.exists()]
    return found


def test_a_run_directory_knows_files_and_no_models():
    modules = all_imported_modules(PACKAGE / "runs" / "directory.py")
    assert "youtube8m.runs.checkpoint_files" in modules
    rooms = {module.split(".")[1] for module in modules}
    assert rooms <= {"config", "runs", "util", "errors", "schema", "compat"}, modules
    assert "youtube8m.runs.starter_code" not in modules


@pytest.mark.parametrize("room", ["prediction", "evaluation"])
def test_prediction_and_evaluation_know_no_training(room):
    paths = list(PACKAGE.joinpath(room).glob("*.py"))
    assert paths
    for path in paths:
        modules = all_imported_modules(path)
        assert not any(m.startswith("youtube8m.training") for m in modules), path


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


def test_at_most_ten_modules_lie_flat():
    flat = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(flat) <= 10, flat


def test_a_paper_imports_no_other_paper():
    paths = list(SOURCES.glob("*/*.py"))
    assert len(paths) > 20
    for path in paths:
        own = path.parent.name
        for module in imported_modules(path):
            parts = module.split(".")
            of_models = parts[:2] == ["youtube8m", "models"] and len(parts) > 2
            if of_models and SOURCES.joinpath(parts[2]).is_dir():
                assert parts[2] in (own, "starter"), f"{path}: {module}"


def test_modules_of_different_ideas_have_different_names():
    names = [
        path.stem
        for path in FILES
        if room_of(path) != "tools" and path.stem not in SHARED_NAMES
    ]
    assert sorted(set(names)) == sorted(names)


# Verbs that are called by their module (`flags.read`), or do one thing to several
# kinds of arrays; and what has a `main`.
SHARED_FUNCTIONS = {"create", "dequantize", "evaluate", "find", "keep", "main", "read"}
# Those by which code calls one module of several: a page, the code of a paper.
SHARED_FUNCTIONS |= {"page", "describe", "match", "recognises"}


def test_functions_and_classes_of_different_ideas_have_different_names():
    found = {}
    for path in FILES:
        if room_of(path) in ("tools", "models"):  # a paper's names are registered
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_") and node.name not in SHARED_FUNCTIONS:
                assert node.name not in found, f"{path} and {found[node.name]}"
                found[node.name] = path
    assert len(found) > 100


# What a module of tests is called, wherever it stands in an import.
TEST_MODULE = re.compile(r"\b(test_\w+|conftest)\b")


def imported_names(tree):
    """`a.b` of `import a.b`, and `a.b.c` of `from a.b import c`, of all imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def imports_in_strings(tree):
    """Lines of scripts, which tests hold as strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            lines = map(str.strip, node.value.splitlines())
            yield from (line for line in lines if re.match("(from|import) tests", line))


def test_no_test_module_imports_another():
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = [name for name in imported_names(tree) if name.startswith("tests")]
        for name in (*names, *imports_in_strings(tree)):
            assert not TEST_MODULE.search(name), f"{path}: {name}"


def test_helpers_hold_no_tests():
    for path in TESTS.joinpath("helpers").rglob("*.py"):
        assert not path.stem.startswith("test_"), path
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "name", None) or ""
            assert not name.startswith(("test_", "Test")), f"{path}: {name}"
