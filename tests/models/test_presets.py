"""Every reported row: its preset resolves, is taken whole, and builds."""

import collections
import dataclasses
import functools
import json
import shlex
import types

import pytest
import tensorflow as tf
from absl import flags as absl_flags
from absl.testing import flagsaver

from tests.helpers import processes
from tests.helpers.all_models import COSTLY
from tests.helpers.pinned import pinned_presets
from youtube8m import models
from youtube8m.cli import flags
from youtube8m.config import DataConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models import preset as registered
from youtube8m.models.base import CLASSIFIERS, ENCODERS, LABEL_PROCESSING
from youtube8m.models.preset import PAPERS, PRESETS, Preset
from youtube8m.tools import presets as tool
from youtube8m.tools import train
from youtube8m.training.config import TrainingConfig

MODELS = [name for name, preset in PRESETS.items() if not preset.members]
PINNED = pinned_presets()
ENSEMBLES = [name for name, preset in PRESETS.items() if preset.members]

MOE_2_ON_1024, MOE_4_ON_1152 = 24_155_352, 48_914_352
MOE_8_ON_1152, MOE_16_ON_1152 = 92_395_872, 179_358_912
MAX_POOL, SPLIT = 42_486_912, 17_049_728
LSTM_2X1024 = 17_309_696


def na_mixture(experts, size):
    """Values of gates and experts, one for each, all with biases, on `size` values."""
    return 2 * experts * 4716 * (size + 1)


# Trainable values, from the shapes that papers and released code give.
PARAMETERS = {
    "tang2017-moe": MOE_8_ON_1152,
    "tang2017-max-pool-3": MAX_POOL + MOE_4_ON_1152,
    "tang2017-max-pool-5": MAX_POOL + MOE_4_ON_1152,
    "tang2017-split-att": SPLIT + MOE_4_ON_1152,
    "tang2017-random-4": 84_972_672 + MOE_4_ON_1152,
    "tang2017-hierarchical": 63_729_792 + MOE_4_ON_1152,
    "tang2017-hmoe": 50_234_752,
    # Without the biases of 1024 and 512 that batch normalisation takes away.
    "tang2017-cc": 128_615_264 - 1536,
    "tang2017-ensemble-01": MAX_POOL + MOE_4_ON_1152,
    "tang2017-ensemble-02": MAX_POOL + MOE_8_ON_1152,
    "tang2017-ensemble-03": SPLIT + MOE_16_ON_1152,
    "tang2017-ensemble-10": MAX_POOL + MOE_16_ON_1152,
    # Two LSTMs of 1024, a diagonal and 25 attentions, 5 gates and 4 experts per class.
    "tang2017-multi-att": 2 * (2177 * 4096) + 26 * 1024 + 4716 * (5 * 1024 + 4 * 1025),
    # Four LSTMs, of frames and of outputs, and a vector of 1024 per class.
    "tang2017-multi-att-code": 2 * (2177 + 2049) * 4096 + 25 * 1024 + 4716 * 1024,
    "miech2017-gated-netvlad": 333_229_888,
    "miech2017-gated-netrvlad": 332_951_360,
    "miech2017-gated-netfv": 333_090_240,
    "miech2017-gated-dbow": 41_543_128,
    "miech2017-soft-dbow": 41_712_680,
    "miech2017-gru": 73_715_832,
    "miech2017-lstm": 113_902_808,
    "lin2018-nextvlad": 90_639_224,
    "lin2018-nextvlad-single": 80_393_016,
    "lin2018-mix3": 241_184_811,
    # Its encoder, eight experts, and gates of all probabilities.
    "tang2018-nonlocal": 72_775_104 + (17 * 1024 + 8 + 4716 + 2) * 4716,
    # Filters of width 1, 2 and 3, norms, LSTMs of 1024 and four experts.
    "wang2017-multiscale": (1152 + 3 * 1024) * 256 * 9
    + 4 * (2 * 1024 + 2049 * 4096 + (9 * 1024 + 4) * 4716),
    "bert2019-mean": 24_799_488 + 5 * 1152 * 4716 + 2 * 4716,
    # 12 models, and what weighs 3 of them four times and then the four.
    "lin2018-mix12-2019": 1_081_406_128,
    "model_garden-dbof": 113_277_180,
    "model_garden-dbof-experiment": 71_028_644,
    "today-frame-mlp": 12_953_048,
    "today-transformer": 15_623_020,
    "today-residual-mlp": 16_227_180,
    "zhao2019-lstm": LSTM_2X1024 + MOE_2_ON_1024,
    "na2017-lstm-m-o": 10_621_440 + na_mixture(2, 4608),
    "na2017-lstm-m-o-huber": 10_621_440 + na_mixture(2, 4608),
    "na2017-mlp-4096-ln": 57_614_336,
    "na2017-cnn-64": 368_704 + na_mixture(2, 64),
    "na2017-cross-entropy": na_mixture(16, 1152),
    # A projection, and gain and shift of the normalisation.
    "na2017-center": 1152 * 1153 + 2 * 1152 + na_mixture(16, 1152),
    "na2017-labels-trained-0.1": na_mixture(16, 1152) + 22_240_656,
    "na2017-labels-fixed-0.1": na_mixture(16, 1152),
    "zou2017-prototype": LSTM_2X1024 + MOE_2_ON_1024,
    "zou2017-bilstm-moe": 43_008_000 + 48_301_272,
    "zou2017-bilstm-moe-full": 43_008_000 + 48_301_272,
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A file of 4716 classes in 25 verticals."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.csv"
    rows = "".join(f"{i},{99 + 4716 - i},vertical {i % 25}\n" for i in range(4716))
    path.write_text("Index,TrainVideoCount,Vertical1\n" + rows)
    return path


def resolved(name, *arguments):
    """(TrainingConfig, RunConfig) that --preset and the arguments come to."""
    saved = flagsaver.save_flag_values()
    try:
        line = ["--train_data_pattern=train*", "--train_dir=model", *arguments]
        absl_flags.FLAGS(["train.py", f"--preset={name}", *line])
        flags.apply_preset()
        return flags.read(TrainingConfig), flags.make_run()
    finally:
        flagsaver.restore_flag_values(saved)


@functools.cache
def parameters(run_json):
    with tf.Graph().as_default():  # makes variables without their values
        model = models.create(RunConfig.from_json(run_json))
        return models.count_parameters(model)


def spelt(config, run):
    """Flag -> its value as it is typed, of all that a command line comes to."""
    values = dataclasses.asdict(run.data) | dataclasses.asdict(config)
    values |= dataclasses.asdict(run.model) | run.model.hyperparameters
    return {
        flag: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for flag, value in values.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_presets_resolve_to_what_they_say(name, vocabulary):
    """What presets.txt says, which a change of a preset does not touch."""
    config, run = resolved(name, f"--vocabulary_file={vocabulary}")
    found, pinned = spelt(config, run), PINNED[name]
    for flag, expected in PRESETS[name].flags.items():
        assert flag in absl_flags.FLAGS
        # A hyper-parameter that no part takes is not there.
        assert found[flag] == str(expected) == pinned[flag], flag
    assert pinned.keys() == PRESETS[name].flags.keys()
    of_2018 = ("bert2019-", "lin2018-", "model_garden-", "samaritan2018-")
    of_2018 += ("tang2018-", "today-")
    classes = 3862 if name.startswith(of_2018) else 4716  # of 2018, of 2017
    assert run.data.num_classes == classes and config.preset == name


def one_of_each_kind():
    """Every preset; the first of each model that is not costly is quick."""
    seen = {*COSTLY}
    for name in MODELS:
        model = PRESETS[name].flags.get("model")
        marks = [pytest.mark.slow] if model in seen else []
        seen.add(model)
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", one_of_each_kind())
def test_presets_build(name, vocabulary):
    _, run = resolved(name, f"--vocabulary_file={vocabulary}")
    # Only what makes the model: many presets share one.
    data = DataConfig(
        run.data.feature_names, run.data.feature_sizes, run.data.frame_features, 4716
    )
    model = dataclasses.replace(run.model, label_loss="CrossEntropyLoss")
    count = parameters(RunConfig(data, model).to_json())
    assert count == PARAMETERS.get(name, count)


# What each source says of its rows, as literals: a change of a preset is a decision.
CROP = {
    "frame_sampling": "crop",
    "max_frames": 225,
    "crop_frames": 45,
    "crop_stride": 5,
    "crop_range": 10,
    "crop_start": 0,
}
VALUES = [
    ("akopyan2017-", {"clip_gradient_norm": 0.0, "optimizer": "RMSPropOptimizer"}),
    ("zhao2019-bigru-", {"video_level_classifier_model": "LogisticModel"}),
    ("zhao2019-attention", {"video_level_classifier_model": "LogisticModel"}),
    ("zhao2019-bilstm", {"num_gpu": 4, "video_level_classifier_model": "MoeModel"}),
    ("zhao2019-lr", {"num_gpu": 1}),
    ("zou2017-prototype-crop", CROP),
    ("zou2017-bilstm-moe-att", CROP),
    ("zou2017-lstm-lr-ln", CROP),
    ("zou2017-late-fusion", {"visual_lstm_cells": 512, "audio_lstm_cells": 150}),
    ("na2017-lstm-m-o", {"lstm_sum": "candidates"}),
    ("na2017-cnn-", {"moe_gate_bias": True, "moe_dummy_expert": False}),
    ("na2017-2l-moe-", {"moe_gate_bias": True, "moe_dummy_expert": False}),
    ("na2017-center", {"clustering_post": "layer_norm_relu"}),
    ("na2017-center", {"clustering_projection": True, "center_loss_weight": 0.001}),
    ("tang2017-hmoe", {"coarse_values": "logits", "num_epochs": 8}),
    ("tang2017-cc", {"num_epochs": 8}),
    ("tang2017-dbof", {"dbof_activation": "relu6"}),
    ("tang2017-split-att", {"visual_lstm_cells": 1024, "audio_lstm_cells": 128}),
    ("tang2017-ensemble-15", {"visual_lstm_cells": 1024, "audio_lstm_cells": 128}),
]


@pytest.mark.parametrize("start, values", VALUES)
def test_rows_have_the_values_of_their_source(start, values):
    rows = [name for name in MODELS if name.startswith(start)]
    assert rows
    for name in rows:
        assert values.items() <= PRESETS[name].flags.items(), name


def test_late_fusion_is_the_papers_or_the_scripts():
    paper = PRESETS["zou2017-late-fusion"].flags
    script = PRESETS["zou2017-late-fusion-script"].flags
    assert CROP.items() <= paper.items()
    for name in ("bidirectional", "layer_norm"):
        assert (paper[name], script[name]) == (False, True)
    assert script["clip_gradient_norm"] == 10.0 and paper["clip_gradient_norm"] == 1.0


def test_rows_of_tangs_tables_drop_where_the_source_says_so():
    """Tables 2 and 3 say nothing; the list of models marks some."""
    dropping = {"08", "12", "13", "16", "17", "18"}  # by their first stage, too
    rows = [name for name in MODELS if name.startswith("tang2017-")]
    assert len(rows) > 20
    for name in rows:
        preset = PRESETS[name]
        if preset.row.startswith(("Table 2, ", "Table 3, ")):
            keep = 0.5 if name.endswith("-code") else 1.0
            assert preset.flags["dropout_keep_prob"] == keep
            assert keep == 0.5 or any("drop" in q for q in preset.open_questions)
        elif name.startswith("tang2017-ensemble-"):
            frames = PRESETS.get(preset.first_stage, preset)
            keep = 0.5 if name[-2:] in dropping else 1.0
            assert frames.flags["dropout_keep_prob"] == keep


def test_counts_are_of_presets():
    assert PARAMETERS.keys() <= set(MODELS)


def test_given_flags_win():
    config, run = resolved(
        "tang2017-max-pool-3", "--lstm_cells=8", "--batch_size=2", "--num_classes=7"
    )
    assert (config.batch_size, run.data.num_classes) == (2, 7)
    assert run.model.hyperparameters["lstm_cells"] == 8
    assert run.model.hyperparameters["pool_size"] == 3
    assert config.base_learning_rate == 0.001
    config, run = resolved("zou2017-bilstm-moe", "--layer_norm", "--optimizer=Lion")
    assert run.model.hyperparameters["layer_norm"] and config.optimizer == "Lion"


def test_without_a_preset_nothing_changes():
    config, run = resolved("")
    assert config == TrainingConfig("model", train_data_pattern="train*")
    assert run.data == DataConfig()


@pytest.mark.parametrize(
    "name, message",
    [
        ("zou2017-bilstm-mo", "--preset: .* did you mean zou2017-bilstm-moe"),
        ("zou2017-ensemble-16", "an ensemble of 4 models, .* show zou2017-ensemble-16"),
    ],
)
def test_names_that_do_not_train_are_told(name, message):
    with pytest.raises(UserError, match=message):
        resolved(name)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_refer_to_presets(name):
    preset = PRESETS[name]
    assert preset.paper and preset.row
    assert preset is registered.find(name) and preset.name == name
    assert {*preset.members} <= set(MODELS)
    if preset.first_stage:
        first = PRESETS[preset.first_stage].flags
        assert preset.flags["feature_sizes"] == str(first["lstm_cells"])


@pytest.mark.parametrize("name", PRESETS)
def test_open_questions_are_whole_sentences(name):
    for question in PRESETS[name].open_questions:
        unclear, used = question.split(" We use: ")
        assert unclear.startswith("Unclear in the paper: ") and unclear.endswith(".")
        assert used.endswith(".")


def test_presets_have_the_name_of_their_papers_folder():
    for folder, paper in PAPERS.items():
        if folder.startswith("youtube8m.models."):
            names = [name for name in PRESETS if PRESETS[name].paper == paper.name]
            assert all(n.split("-")[0] == folder.split(".")[-1] for n in names)
            assert paper.title and paper.url.startswith("https://")
            assert paper.read or not names


@pytest.mark.parametrize("registry", [ENCODERS, CLASSIFIERS, LABEL_PROCESSING])
def test_classes_are_reported_by_presets_that_name_them(registry):
    reports = {cls: registered.find_report(cls) for cls in map(registry.get, registry)}
    assert any(reports.values())
    for cls, preset in reports.items():
        if preset:
            named = preset.flags.values()
            encoders = [ENCODERS.get(name) for name in ENCODERS if name in named]
            fixed = [encoder.classifiers[:1] for encoder in encoders]
            assert cls.__name__ in [*named, *sum(fixed, ())]


def test_a_subclass_is_not_reported_by_its_bases_row():
    class Derived(models.MoeModel):
        pass

    assert registered.find_report(models.MoeModel).name == "tang2017-moe"
    assert registered.find_report(Derived) is None
    assert registered.find_paper(Derived).name == "models"  # of tests.models


def test_a_module_of_a_users_own_brings_presets(tmp_path, monkeypatch):
    folder = tmp_path / "smith2020_papers" / "pooling"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "presets.py").write_text(SMITH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registered, "PRESETS", dict(PRESETS))
    monkeypatch.setattr(registered, "PAPERS", dict(PAPERS))
    models.import_source("smith2020_papers")
    preset = registered.find("smith2020-pooling")
    assert (preset.paper, preset.row) == ("Smith et al. 2020", "Table 1, pooling")
    models.import_source("smith2020_papers")  # changes nothing
    assert registered.find("smith2020-pooling") is preset
    other = types.SimpleNamespace(
        __name__="mine", PRESETS=[Preset("smith2020-pooling", row="another")]
    )
    with pytest.raises(ValueError, match="mine: a second preset smith2020-pooling"):
        registered.register_presets(other)
    other.PRESETS = [Preset("mine-1", row="row")]
    registered.register_presets(other)
    assert registered.find("mine-1").paper == "mine"


SMITH = """
from youtube8m.models.preset import Paper, Preset

PAPER = Paper("Smith et al. 2020", title="Pooling", url="https://example.org")
PRESETS = [Preset("smith2020-pooling", row="Table 1, pooling", flags={"batch_size": 8})]
"""


def test_ensembles_have_as_many_predictions_as_their_names():
    def predictions(name):
        lines = tool.commands(name)
        return sum(line.startswith("python inference.py") for line in lines)

    assert predictions("zou2017-ensemble-16") == 16
    assert predictions("zou2017-ensemble-36") == 36
    assert predictions("tang2017-ensemble") == 18
    assert predictions("zhao2019-ensemble") == 2


def test_ensembles_train_and_extract_each_first_stage_once():
    script = "\n".join(tool.commands("tang2017-ensemble"))
    assert script.count("--train_dir=tang2017-first-stage-dropout") == 3
    assert script.count("--nolabels") == 2  # of the test split, for two first stages
    script = "\n".join(tool.commands("zhao2019-ensemble"))
    assert "'video/test/*.tfrecord'" in script and "'frame/test/*.tfrecord'" in script


def test_every_preset_is_listed():
    lines = tool.listing()
    listed = {line.split()[0] for line in lines if line.strip()}
    assert PRESETS.keys() <= listed
    row = next(line for line in lines if "tang2017-hmoe" in line)
    assert "Table 4" in row and "GAP 0.82416" in row and "two stages" in row


@pytest.mark.parametrize("name", MODELS)
def test_the_command_that_is_shown_is_the_preset(name, vocabulary):
    """The printed flags alone come to what --preset comes to."""
    script = "\n".join(tool.commands(name)).replace("\\\n", " ")
    *_, line = [x for x in script.splitlines() if x.startswith("python train.py")]
    words = [
        f"--vocabulary_file={vocabulary}" if "vocabulary" in word else word
        for word in shlex.split(line)[2:]
    ]
    shown, run = resolved("", *words)
    files = [word for word in words if word.startswith("--vocabulary_file")]
    config, same_run = resolved(name, *files)
    assert run == same_run
    own = {
        "train_data_pattern": shown.train_data_pattern,
        "train_dir": name,
        "label_correlation_file": shown.label_correlation_file,
        "preset": "",
    }
    assert shown == dataclasses.replace(config, **own)
    assert PINNED[name].items() <= spelt(shown, run).items()


PARSE = """
import importlib, json, sys
from absl import flags
importlib.import_module(sys.argv[1])
for words in json.loads(sys.argv[2]):
    flags.FLAGS(words)
"""


def shown_commands():
    """Module -> the words of each command line with it that a preset prints."""
    found = collections.defaultdict(list)
    for name in PRESETS:
        script = "\n".join(tool.commands(name)).replace("\\\n", " ")
        for line in script.splitlines():
            if line.startswith("python -m"):
                words = shlex.split(line)[2:]
                found[words[0]].append(words)
    return found


SHOWN = shown_commands()


@pytest.mark.parametrize("module", SHOWN)
def test_tools_take_the_flags_that_are_shown(module):
    processes.forked("-c", PARSE, module, json.dumps(SHOWN[module]))


def test_labels_are_counted_of_the_presets_classes():
    lines = SHOWN["youtube8m.tools.label_correlation"]
    assert lines and all("--num_classes=4716" in line for line in lines)


def test_two_stages_are_shown_with_both_commands():
    script = "\n".join(tool.commands("tang2017-cc"))
    first, second = script.split("extract_descriptors")
    assert "--model=MaxPoolBiLSTMAttention" in first
    assert "--model=ClassifierChainModel" in second
    assert "--dropout_keep_prob=0.5" in first


def test_the_listing_needs_a_known_word(capsys):
    with pytest.raises(UserError, match="'list': expected nothing"):
        tool.main("list")
    tool.main("show", "zhao2019-lr")
    assert "--model=LogisticModel" in capsys.readouterr().out


def test_training_with_a_preset_says_and_saves_what_it_comes_to(
    sample, tmp_path, caplog
):
    arguments = {
        "preset": "zhao2019-lr",
        "train_dir": str(tmp_path),
        "train_data_pattern": sample["video/train"],
        "max_steps": 1,
    }
    line = [f"--{k}={v}" for k, v in arguments.items()]
    line += ["--feature_sizes=24,8", "--num_classes=12"]
    saved = flagsaver.save_flag_values()
    caplog.set_level("INFO")
    try:
        absl_flags.FLAGS(["train.py", *line])
        train.main()
    finally:
        flagsaver.restore_flag_values(saved)
    assert "preset zhao2019-lr: Zhao 2019, LR, video, reported GAP 0.70727" in (
        caplog.text
    )
    assert "feature_sizes=24,8" in caplog.text and "num_epochs=5" in caplog.text
    stored = json.loads((tmp_path / "training_config.json").read_text())
    assert stored["preset"] == "zhao2019-lr" and stored["base_learning_rate"] == 0.01
