"""What only a decision changes, in text files: defaults and limits of flags, presets.

    python -m tests.helpers.pinned

writes the files anew. Read the difference before you keep it.
"""

import dataclasses
import importlib
import pathlib
import textwrap

from youtube8m.benchmarks.extraction import ClipConfig
from youtube8m.benchmarks.workload import BenchmarkConfig
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig
from youtube8m.config.fields import NEEDED
from youtube8m.data.writing.synthetic import SampleConfig
from youtube8m.evaluation.config import EvaluationConfig
from youtube8m.export import ExportConfig
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.video_predictions import PredictConfig
from youtube8m.models.preset import PAPERS, PRESETS
from youtube8m.prediction.config import InferenceConfig
from youtube8m.tools import train  # noqa: F401  Of one name, the first flag counts.
from youtube8m.training.config import TrainingConfig

TESTS = pathlib.Path(__file__).resolve().parents[1]
FLAGS_FILE = TESTS / "config" / "flags.txt"
PRESETS_FILE = TESTS / "models" / "presets.txt"


def _of_tool(name, config):
    return getattr(importlib.import_module(f"youtube8m.tools.{name}"), config)


CONFIGS = {
    "train": TrainingConfig,
    "data": DataConfig,
    "model": ModelConfig,
    "eval": EvaluationConfig,
    "inference": InferenceConfig,
    "export": ExportConfig,
    "export_model_mediapipe": _of_tool("export_model_mediapipe", "MediapipeConfig"),
    "sample_data": SampleConfig,
    "average_checkpoints": _of_tool("average_checkpoints", "AverageConfig"),
    "ensemble": _of_tool("ensemble", "EnsembleConfig"),
    "extract_descriptors": _of_tool("extract_descriptors", "ExtractionConfig"),
    "label_correlation": _of_tool("label_correlation", "CountConfig"),
    "convert_prediction_from_json_to_csv": _of_tool(
        "convert_prediction_from_json_to_csv", "JsonToCsvConfig"
    ),
    "convert_checkpoint": _of_tool("convert_checkpoint", "ConvertConfig"),
    "merge_shards": _of_tool("merge_shards", "MergeConfig"),
    "segment_eval_inference": _of_tool("segment_eval_inference", "MeasureConfig"),
    "benchmark": BenchmarkConfig,
    "benchmark_extract": ClipConfig,
    "extract_features": ExtractConfig,
    "predict": PredictConfig,
    "explain": _of_tool("explain", "ExplainConfig"),
    "report": _of_tool("report", "ReportConfig"),
}


def flag_lines() -> list[str]:
    """'command flag default rule' of all fields; 'hyperparameter flag class default'.

    Rules are those of numbers, and of texts that must be given or chosen.
    """
    lines = []
    for command, config in CONFIGS.items():
        for field in dataclasses.fields(config):
            if "help" in field.metadata:
                rule = _rule(field.default, field.metadata["rule"])
                lines.append(f"{command} {field.name} {field.default!r} {rule}")
    for name, owners in sorted(flags.all_hyperparameters().items()):
        for owner, argument in sorted(owners.items()):
            if owner not in _of_tests():
                lines.append(f"hyperparameter {name} {owner} {argument.default!r}")
    return lines


def _rule(default, rule):
    if isinstance(rule, tuple):
        return "|".join(rule)
    is_number = default is None or type(default) in (int, float)
    return rule if is_number or rule == NEEDED else "-"


def _of_tests():
    """Classes that tests have registered."""
    known = (flags.ENCODERS, flags.CLASSIFIERS, flags.LABEL_PROCESSING, flags.LOSSES)
    classes = (registry.get(name) for registry in known for name in registry)
    return {c.__name__ for c in classes if not c.__module__.startswith("youtube8m.")}


def preset_lines() -> list[str]:
    """A block for each preset of the package: its facts, then its flags."""
    ours = {p.name for folder, p in PAPERS.items() if folder.startswith("youtube8m.")}
    lines = []
    for preset in PRESETS.values():
        if preset.paper in ours:
            lines += [preset.name, *(f"  {line}" for line in _preset_lines(preset))]
    return lines


def _preset_lines(preset):
    facts = dataclasses.asdict(preset)
    for name in ("row", "figure", "validation", "first_stage"):
        if facts[name]:
            yield f"{name}: {facts[name]}"
    for name in ("members", "starts"):
        if facts[name]:
            yield from _wrapped(f"{name}: {' '.join(map(str, facts[name]))}")
    for name in ("inference", "merge"):
        if facts[name]:
            yield f"{name}: {words(facts[name])}"
    yield from _wrapped(words(facts["flags"]))


def _wrapped(text):
    return textwrap.wrap(text, 84, break_on_hyphens=False, break_long_words=False)


def words(values) -> str:
    """Flags as in presets.txt."""
    return " ".join(f"{name}={values[name]}" for name in sorted(values))


def pinned_presets() -> dict[str, dict[str, str]]:
    """Preset -> flag -> value as presets.txt states them."""
    found, name = {}, None
    for line in PRESETS_FILE.read_text().splitlines():
        if not line.startswith(" "):
            found[name := line] = {}
        elif ": " not in line:
            pairs = (word.split("=", 1) for word in line.split() if "=" in word)
            found[name].update(pairs)
    return found


if __name__ == "__main__":
    FLAGS_FILE.write_text("\n".join(flag_lines()) + "\n")
    PRESETS_FILE.write_text("\n".join(preset_lines()) + "\n")
