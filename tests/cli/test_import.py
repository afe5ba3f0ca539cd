"""--import: classes of a user's own, in commands that train and that read a run."""

import json
import os
import shutil

import pytest

from tests.helpers import processes
from tests.helpers.sample import FRAME_FLAGS
from youtube8m import models
from youtube8m.cli import flags
from youtube8m.config import ModelConfig
from youtube8m.errors import UserError
from youtube8m.models.imports import import_classes
from youtube8m.models.preset import PRESETS

flags.define_import()

# No docstrings, help texts or presets' names: what only our own lists need.
MODULE = """
from __future__ import annotations

import keras
from keras import ops

from youtube8m.layers.pooling import masked_mean
from youtube8m.losses import LOSSES, LabelLoss
from youtube8m.models.base import CLASSIFIERS, ENCODERS, Classifier, FrameEncoder
from youtube8m.models.preset import Preset


@ENCODERS.register
class MyPool(FrameEncoder):
    def __init__(self, my_units: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.my_units = my_units

    def build(self, shape, *_):
        self.dense = self.sublayer(
            keras.layers.Dense, shape[-1], "dense", units=self.my_units
        )

    def call(self, frames, frame_mask, training=False):
        return self.dense(masked_mean(frames, frame_mask))

    def auxiliary_losses(self, outputs, batch):
        penalty = ops.mean(outputs["descriptor"] ** 2)
        if penalty > 1.0:  # a branch on a tensor: by AutoGraph
            penalty = penalty / 2
        return {"my_penalty": penalty}


@CLASSIFIERS.register
class MyClassifier(Classifier):
    def __init__(self, num_classes: int, my_scale: float = 1.0, **kwargs):
        super().__init__(num_classes, **kwargs)
        self.my_scale = my_scale

    def build(self, shape):
        self.dense = self.sublayer(
            keras.layers.Dense, shape[-1], "dense", units=self.num_classes
        )

    def call(self, descriptor, training=False):
        return ops.sigmoid(self.my_scale * self.dense(descriptor))


@LOSSES.register
class MyLoss(LabelLoss):
    def __init__(self, my_power: float = 2.0, **kwargs):
        super().__init__(**kwargs)
        self.my_power = my_power

    def terms(self, labels, predictions):
        errors = ops.abs(labels - predictions)
        if ops.max(errors) > 1.0:
            errors = errors / ops.max(errors)
        return errors**self.my_power


PRESETS = [Preset("my-row", row="Table 1", flags={"model": "MyPool", "my_units": 7})]
"""
CHOSEN = ("--model=MyPool", "--video_level_classifier_model=MyClassifier")
START = (
    "import sys; sys.path.append(sys.argv.pop(1)); from youtube8m import cli; "
    "cli.run('youtube8m.tools.' + sys.argv.pop(1))"
)


def tool(name, *arguments, status=0, folder="/nowhere"):
    """Runs a tool where Python finds modules in `folder`, too."""
    command = ("-c", START, folder, name, *arguments)
    return processes.forked(*command, status=status)


def assert_one_line(done, *parts):
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: ") and not before
    for part in parts:
        assert str(part) in last


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """The file of the user's module, beside nothing else."""
    path = tmp_path_factory.mktemp("code") / "my_models.py"
    path.write_text(MODULE)
    return path


@pytest.fixture(scope="module")
def trained(module, sample, tmp_path_factory):
    """Train directories, by what --import named: the file, or the module."""
    found = {}
    for name in (str(module), "my_models"):
        found[name] = tmp_path_factory.mktemp("run")
        tool(
            "train",
            f"--import={name}",
            *CHOSEN,
            "--my_units=5",
            "--label_loss=MyLoss",
            "--my_power=3",
            *FRAME_FLAGS,
            "--batch_size=32",
            "--max_steps=2",
            f"--train_data_pattern={sample['frame/train']}",
            f"--train_dir={found[name]}",
            folder=module.parent,
        )
    return found


def evaluate(path, sample, *arguments, **options):
    return tool(
        "eval",
        f"--train_dir={path}",
        f"--eval_data_pattern={sample['frame/validate']}",
        "--run_once",
        *arguments,
        **options,
    )


def predict(path, sample, *arguments, **options):
    out = os.path.join(path, "..", "out.csv")
    return tool(
        "inference",
        f"--input_data_pattern={sample['frame/test']}",
        f"--output_file={out}",
        *arguments,
        **options,
    )


def test_hyperparameters_and_the_import_are_kept(trained):
    for name, path in trained.items():
        kept = json.loads((path / "model_flags.json").read_text())
        assert kept["import"] == name
        values = kept["hyperparameters"]
        assert (values["my_units"], values["my_scale"], values["my_power"]) == (5, 1, 3)


def test_commands_import_the_file_again_by_themselves(trained, module, sample):
    path = trained[str(module)]
    done = evaluate(path, sample, "--iterations=3")
    assert "epoch/eval number 2 |" in done.stderr
    predict(path, sample, f"--train_dir={path}")
    for command in ("export", "average_checkpoints"):
        options = ["--last=1"] if command == "average_checkpoints" else []
        output = path.parent / command
        tool(command, f"--train_dir={path}", f"--output_dir={output}", *options)
        assert os.listdir(output)


def test_a_module_is_imported_again_where_python_finds_it(trained, module, sample):
    path = trained["my_models"]
    assert evaluate(path, sample, folder=module.parent).stderr.count("eval number 2 |")
    done = evaluate(path, sample, status=1)
    flags = path / "model_flags.json"
    assert_one_line(done, flags, "--import=my_models: No module named", "give --import")


def test_a_file_that_has_moved_is_named(trained, module, sample, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[str(module)], run)
    text = (run / "model_flags.json").read_text()
    old = tmp_path / "old.py"
    (run / "model_flags.json").write_text(text.replace(str(module), str(old)))
    done = evaluate(run, sample, status=1)
    assert_one_line(done, f"--import={old}: No such file", "give --import")
    assert evaluate(run, sample, f"--import={module}").stderr.count("eval number 2 |")


def test_an_archive_starts_no_code(trained, module, sample, tmp_path):
    archive, unpacked = tmp_path / "model.tgz", tmp_path / "unpacked"
    path = trained[str(module)]
    predict(path, sample, f"--train_dir={path}", f"--output_model_tgz={archive}")
    given = (f"--input_model_tgz={archive}", f"--untar_model_dir={unpacked}")
    done = predict(path, sample, *given, status=1)
    assert_one_line(done, f"--import={module}", "look at it")
    done = evaluate(unpacked, sample, status=1)  # nor later
    assert_one_line(done, f"--import={module}", "look at it")
    predict(path, sample, *given, f"--import={module}")


@pytest.mark.slow
def test_a_run_may_go_on_after_its_code_has_moved(trained, module, sample, tmp_path):
    run, moved = tmp_path / "run", tmp_path / "moved.py"
    shutil.copytree(trained[str(module)], run)
    shutil.copy(module, moved)
    log = tool(
        "train",
        f"--import={moved}",
        *CHOSEN,
        "--my_units=5",
        "--label_loss=MyLoss",
        "--my_power=3",
        *FRAME_FLAGS,
        "--batch_size=32",
        "--max_steps=3",
        f"--train_data_pattern={sample['frame/train']}",
        f"--train_dir={run}",
    ).stderr
    assert "model.ckpt-2" in log and "saved step 3" in log


ROWS = """
import pathlib, sys
from youtube8m.tools import models
from youtube8m.cli import flags
sys.path.append("docs")
import write_docs
flags.import_modules(sys.argv)
for name in "MyPool", "MyClassifier":
    print(*models.row(name).values(), sep=";")
documents = write_docs.documents(pathlib.Path(".")).values()
assert not any("MyPool" in text for text in documents)
"""


def test_lists_show_classes_that_say_nothing(module):
    flag = f"--import={module}"
    rows = processes.forked("-c", ROWS, flag).stdout.splitlines()
    # Units of the descriptor, gates and experts of MoeModel: 8 C M and 8 C (M + 1).
    assert rows == [
        f"MyPool;frames;my_models;;{1153 * 8 + 4716 * (8 * 5 + 2):,};",
        f"MyClassifier;a vector per video;my_models;;{1153 * 4716:,};",
    ]
    listed = tool("presets", flag).stdout
    assert "my-row" in listed and "my_models" in listed
    shown = tool("presets", flag, "show", "my-row").stdout
    assert "--my_units=7" in shown
    listed = tool("train", "--help", flag, *CHOSEN, status=1).stdout
    assert "\nMyPool\n\n  --my_units=8\n" in listed
    assert "\nMyClassifier\n\n  --my_scale=1\n" in listed
    listed = tool("train", "--help", flag, "--preset=my-row", status=1).stdout
    assert "\nMyPool\n\n  --my_units=7\n" in listed


CLASS = """
from youtube8m.models.base import ENCODERS, FrameEncoder
@ENCODERS.register
class Other(FrameEncoder):
    def __init__(self, {argument}, **kwargs):
        super().__init__(**kwargs)
"""


@pytest.mark.parametrize(
    "argument, message",
    [
        ("batch_size: int = 3", "Other: its argument batch_size is of type int, but"),
        ("lstm_cells: str = 'x'", "Other: its argument lstm_cells is of type str, but"),
    ],
)
def test_arguments_that_cannot_be_flags_are_one_line(tmp_path, argument, message):
    path = tmp_path / "other.py"
    path.write_text(CLASS.format(argument=argument))
    done = tool("train", f"--import={path}", "--model=Other", status=1)
    assert_one_line(done, message)


MISTAKES = {
    "syntax": ("import os\ndef f(:\n", "line 2: invalid syntax"),
    "import": ("\nimport no_such_module\n", "line 2: ModuleNotFoundError: No module"),
    "name": ("def f():\n    return x\n\nf()\n", "line 2: NameError: name 'x'"),
    "exit": ("import sys\nsys.exit()\n", "line 2: SystemExit"),
    "class": (
        "from youtube8m.models.base import ENCODERS, FrameEncoder\n\n"
        "@ENCODERS.register\nclass LstmModel(FrameEncoder):\n    pass\n",
        "line 3: ValueError: LstmModel is registered twice for --model",
    ),
    "preset": (
        "from youtube8m.models.preset import Preset\n"
        "PRESETS = [Preset('my-row', row='x'), Preset('my-row', row='y')]\n",
        "a second preset my-row",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("is_file", [True, False])
def test_mistakes_in_a_module_name_file_and_line(tmp_path, monkeypatch, name, is_file):
    code, message = MISTAKES[name]
    path = tmp_path / f"mistake_{name}_{is_file}.py"
    path.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    given = str(path) if is_file else path.stem
    with pytest.raises(UserError) as caught:
        models.import_module(given)
    text = str(caught.value)
    assert text.startswith(f"--import={given}: ") and message in text
    assert name == "preset" or f"{path}, line" in text
    assert "my-row" not in PRESETS  # nothing of it stays


@pytest.mark.parametrize(
    "name, message",
    [
        ("/nowhere/my.py", "--import=/nowhere/my.py: No such file"),
        ("/nowhere/my", "--import=/nowhere/my: not a .py file"),
        (
            "no_such_module",
            "give the path of its file, or add its folder to PYTHONPATH",
        ),
        ("gs://bucket/my.py", "--import=gs://bucket/my.py: remote stores"),
        ("..", "--import=..: "),
        ("a b", "--import=a b: No module named"),
    ],
)
def test_modules_that_are_not_there(name, message):
    with pytest.raises(UserError, match=message):
        models.import_module(name)


@pytest.mark.parametrize("spelled", ["--import={}", "--import\n{}", "-import={}"])
def test_import_is_found_wherever_it_stands(tmp_path, spelled):
    path = tmp_path / "fails.py"
    path.write_text("x\n")
    words = spelled.format(path).split("\n")
    (tmp_path / "flags.txt").write_text("\n".join(words) if len(words) == 1 else "")
    lines = [
        ["train.py", *words],
        ["train.py", "--my_units", "3", "word", *words],
        ["train.py", *words, "--my_flag"],
    ]
    if len(words) == 1:
        lines.append(["train.py", f"--flagfile={tmp_path}/flags.txt"])
    for line in lines:
        with pytest.raises(UserError, match="fails.py, line 1: NameError"):
            flags.import_modules(line)
    flags.import_modules(["train.py", "--", *words])
    flags.import_modules(["train.py", "--import"])  # absl says that a value is missing


def test_a_module_is_imported_once(tmp_path):
    path = tmp_path / "counted.py"
    path.write_text(f"open({str(tmp_path / 'log')!r}, 'a').write('.')\n")
    for _ in range(2):
        assert models.import_module(str(path)) == str(path)
    assert (tmp_path / "log").read_text() == "."
    other = tmp_path / "folder" / "counted.py"  # of the same name
    other.parent.mkdir()
    shutil.copy(path, other)
    models.import_module(str(other))
    assert (tmp_path / "log").read_text() == ".."


@pytest.fixture
def spy(tmp_path):
    """A directory with a module that leaves a trace, and the trace."""
    folder, trace = tmp_path / "run", tmp_path / "trace"
    folder.mkdir()
    (folder / "spy.py").write_text(f"open({str(trace)!r}, 'w')\n")
    return folder, trace


def refused(directory, name):
    config = ModelConfig("NotRegistered", imports=(name,))
    with pytest.raises(UserError, match=f"--import={name}; .*look at it"):
        import_classes(config, str(directory))


def test_code_in_the_runs_own_directory_is_not_started(spy, tmp_path, monkeypatch):
    folder, trace = spy
    refused(folder, str(folder / "spy.py"))
    (tmp_path / "link.py").symlink_to(folder / "spy.py")
    refused(folder, str(tmp_path / "link.py"))
    monkeypatch.chdir(folder)
    refused(tmp_path / "elsewhere", "./spy.py")  # not an absolute path
    refused(tmp_path / "elsewhere", "spy.py")
    monkeypatch.syspath_prepend(folder)  # as of the working directory
    refused(folder, "spy")
    (folder / ".contents").write_text("")  # unpacked from an archive
    refused(folder, "json")
    assert not trace.exists()


def test_nothing_is_imported_for_classes_that_are_known(spy):
    folder, trace = spy
    import_classes(ModelConfig(imports=(str(folder / "spy.py"),)), str(folder))
    assert not trace.exists()
