"""Lists the rows of the papers' tables that have a name, and prints their commands.

    python -m youtube8m.tools.presets
    python -m youtube8m.tools.presets show zou2017-bilstm-moe
    python train.py --preset=zou2017-bilstm-moe --train_data_pattern='train*.tfrecord'

The numbers after a row are those of the open questions below it.
"""

import itertools
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from youtube8m import cli, models
from youtube8m.cli import flags
from youtube8m.config import DataConfig, ModelConfig
from youtube8m.config.data import CROPS
from youtube8m.errors import UserError
from youtube8m.losses import LOSSES
from youtube8m.models.preset import PRESETS, Preset, find
from youtube8m.registry import required
from youtube8m.schema import CLASS_FACTS
from youtube8m.util.text import aligned

COMMANDS = None  # main looks at its arguments

flags.define_import()


def main(*words: str) -> None:
    """Lists all presets, or prints the commands of one."""
    match words:
        case ():
            print("\n".join(listing()))
        case ("show", name):
            print("\n".join(commands(name)))
        case _:
            raise UserError(
                f"{' '.join(words)!r}: expected nothing, which lists the presets, or "
                "show NAME, which prints the commands of one"
            )


def listing() -> list[str]:
    """The presets, paper by paper, with each paper's open questions below them."""
    lines = []
    for paper, group in itertools.groupby(PRESETS.values(), lambda p: p.paper):
        presets = list(group)
        numbers = number_questions(presets)
        table = aligned([_row(preset, numbers) for preset in presets])
        lines += [paper, *(f"  {line}" for line in table), "  open questions:"]
        lines += [f"  {n:4}  {question}" for question, n in numbers.items()] + [""]
    return lines


def number_questions(presets: Iterable[Preset]) -> dict[str, int]:
    """The open questions of some presets, each with its number, from 1 on."""
    questions = (question for preset in presets for question in preset.open_questions)
    return {q: n for n, q in enumerate(dict.fromkeys(questions), start=1)}


def _row(preset, numbers):
    row = preset.row
    if preset.members:
        row += f": {len(preset.members)} models"
    if preset.first_stage:
        row += f"; two stages, the first is {preset.first_stage}"
    questions = sorted(numbers[q] for q in preset.open_questions)
    return preset.name, row, preset.figure, ",".join(map(str, questions))


def commands(name: str) -> list[str]:
    """The lines of a shell script that reproduces the preset.

    Raises UserError for an unknown name.
    """
    preset = find(name)
    lines = [f"# {preset.paper}, {preset.row}: {preset.figure or 'no figure'}"]
    lines += [f"# {question}" for question in preset.open_questions]
    if preset.members:
        return lines + _ensemble(name, preset)
    if preset.first_stage:
        lines += _first_stage(preset.first_stage, "train")
    return lines + _train(name, preset)


def _first_stage(name, *splits):
    """Training, and the descriptors of these splits."""
    lines = [f"# first stage: {name}", *_train(name, find(name))]
    for split in splits:
        lines += _command(
            "python -m youtube8m.tools.extract_descriptors",
            train_dir=name,
            input_data_pattern=_pattern("frame", split),
            output_dir=f"descriptors/{name}/{split}",
            **({"labels": False} if split == "test" else {}),
        )
    return [*lines, "# second stage, on the descriptors of the first"]


def _pattern(directory, *splits):
    return ",".join(f"{directory}/{split}/*.tfrecord" for split in splits)


def _records(preset):
    """The directory of the records that the preset reads."""
    if preset.first_stage:
        return f"descriptors/{preset.first_stage}"
    return "frame" if "frame_features" in preset.flags else "video"


def _train(name, preset):
    splits = ("train", "validate") if preset.validation else ("train",)
    pattern = _pattern(_records(preset), *splits)
    files, lines = _files(preset), []
    if "label_correlation_file" in files:
        lines = _command(
            "python -m youtube8m.tools.label_correlation",
            num_classes=preset.flags.get("num_classes", DataConfig.num_classes),
            train_data_pattern=pattern,
            output_file=files["label_correlation_file"],
        )
    paths = {**files, "train_data_pattern": pattern, "train_dir": name}
    return lines + _command("python train.py", **preset.flags, **paths)


def _files(preset: Preset) -> dict[str, str]:
    """The files that the preset's model and loss need, as flags."""
    names = ("model", "video_level_classifier_model", "label_processing", "label_loss")
    config = ModelConfig(**{n: preset.flags[n] for n in names if n in preset.flags})
    parts = [part for part in models.parts(config) if part]
    needed = set().union(*map(required, (*parts, LOSSES.get(config.label_loss))))
    files = {}
    if needed.intersection(CLASS_FACTS):
        files["vocabulary_file"] = "vocabulary.csv"
    if any(hasattr(part, "set_label_correlation") for part in parts):
        files["label_correlation_file"] = "label_counts.npy"
    return files


def _ensemble(name, preset):
    """Training, prediction and merging, each prediction a file of its own."""
    lines, files, stages = [], [], set()
    for member in preset.members:
        model = find(member)
        lines += ["", f"# {member}: {model.row}"]
        first = model.first_stage
        if first and first not in stages:
            stages.add(first)
            lines += _first_stage(first, "train", "test")
        lines += _train(member, model)
        cropped = model.flags.get("frame_sampling") in CROPS
        crops = {f"-{start}": {"crop_starts": start} for start in preset.starts}
        for suffix, crop in crops.items() if cropped else [("", {})]:
            files.append(f"{member}{suffix}.csv")
            lines += _command(
                "python inference.py",
                train_dir=member,
                input_data_pattern=_pattern(_records(model), "test"),
                output_file=files[-1],
                **crop,
                **preset.inference,
            )
    merging = _command(
        "python -m youtube8m.tools.ensemble merge",
        input_files=",".join(files),
        output_file=f"{name}.csv",
        **preset.merge,
    )
    return [*lines, "", f"# {preset.row}", *merging]


def _command(program, **flags):
    lines = [program]
    for word in (_format_flag(*flag) for flag in flags.items()):
        if len(lines[-1]) + len(word) > 84:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return lines


def format_flags(flags: Mapping[str, Any]) -> str:
    """The flags as they are typed, quoted for a shell."""
    return " ".join(_format_flag(*flag) for flag in flags.items())


def _format_flag(name, value):
    if isinstance(value, bool):
        return f"--{'' if value else 'no'}{name}"
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return f"--{name}={shlex.quote(text)}"


if __name__ == "__main__":
    cli.run(main)
