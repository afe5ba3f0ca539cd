"""The package as users install it: a wheel, run far from the sources."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.helpers.processes import LIMIT, ROOT

pytestmark = pytest.mark.slow

TOOLS = sorted(
    path.stem
    for path in (pathlib.Path(ROOT) / "youtube8m" / "tools").glob("*.py")
    if path.stem != "__init__"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A directory that holds the installed wheel and nothing else."""
    wheels, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", f"--wheel-dir={wheels}", ROOT],
        check=True,
        timeout=LIMIT,
    )
    (wheel,) = wheels.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", f"--target={site}", wheel],
        check=True,
        timeout=LIMIT,
    )
    return site


def run(installed, directory, *arguments):
    """`python ARGUMENTS` in `directory`, with the installed package alone."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def test_the_package_is_the_installed_one(installed, tmp_path):
    done = run(installed, tmp_path, "-c", "import youtube8m; print(youtube8m.__file__)")
    assert done.stdout.startswith(str(installed))
    assert not list(installed.rglob("write_docs*"))  # of the repository alone


def test_the_texts_of_help_are_installed(installed):
    assert sorted(p.stem for p in installed.rglob("help_texts/*.txt")) == TOOLS


@pytest.mark.parametrize("tool", TOOLS)
def test_every_command_starts_in_an_empty_directory(installed, tmp_path, tool):
    done = run(installed, tmp_path, "-m", f"youtube8m.tools.{tool}", "--help")
    assert "Traceback" not in done.stderr
    assert f"youtube8m.tools.{tool}" in done.stdout or f"{tool}.py" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_whole_run_in_an_empty_directory(installed, tmp_path):
    """Sample data, training, evaluation, predictions, and a preset's commands."""
    done = run(installed, tmp_path, "-m", "youtube8m.tools.demo", "--directory=demo")
    assert done.returncode == 0, done.stderr
    (csv,) = (tmp_path / "demo").rglob("kaggle_solution.csv")
    assert csv.read_text().startswith("VideoId,LabelConfidencePairs\n")
    presets = run(installed, tmp_path, "-m", "youtube8m.tools.presets")
    assert "tang2017-single-att" in presets.stdout


def test_the_console_command_runs_every_other(installed, tmp_path):
    command = str(installed / "bin" / "youtube8m")
    listed = run(installed, tmp_path, command)
    assert set(TOOLS) <= set(listed.stdout.split())
    done = run(installed, tmp_path, command, "sample_data", "--help")
    assert done.stdout.startswith("Writes a learnable sample data set")
