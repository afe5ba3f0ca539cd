"""What --help prints: what a command does, and the flags that count for it.

    print(text(tool.__doc__, sys.argv))

A flag is a line `--name=default`, `...` where it has no default, and its sentence
below. The flags of a model are listed if the model is named along with --help.
"""

import contextlib
import sys
import textwrap
from collections.abc import Sequence

from absl import flags as absl_flags

from youtube8m import models
from youtube8m.cli import flags
from youtube8m.cli.flags import FLAGS
from youtube8m.cli.stored_help import is_help
from youtube8m.config import ModelConfig
from youtube8m.registry import hyperparameters, summary
from youtube8m.runs.starter_code import MODELS, UNSAVED

WIDTH = 80

_STARTER_CODE = (
    "For a directory that the starter code wrote, which does not keep these values; "
    "give those that the run was trained with:"
)


def text(purpose: str, argv: Sequence[str]) -> str:
    """The help of a command whose flags are defined.

    Args:
      purpose: the docstring of its tool.
      argv: its command line, which may choose a model.

    Raises UserError if it chooses one that there is not.
    """
    words = [word for word in argv if not is_help(word)]
    with contextlib.suppress(absl_flags.Error, ValueError):  # reported without --help
        FLAGS(words, known_only=True)
    FLAGS.mark_as_parsed()
    if "preset" in FLAGS:
        flags.apply_preset()
    lines = [(purpose or "").strip(), ""]
    for title, listed in _list_sections().items():
        lines += [*textwrap.wrap(title, WIDTH), ""]
        for name, default, help in listed:
            lines += _format_flag(name, default, help)
        lines.append("")
    given = "preset" in FLAGS and FLAGS.preset
    if "model" in FLAGS and not (flags.unlisted or FLAGS["model"].present or given):
        lines.append(
            "--help along with --model=NAME lists the flags of that model, too."
        )
    return "\n".join([*lines, "--helpfull lists all flags."])


def _list_sections() -> dict[str, list]:
    """Title -> the name, default and help text of each flag below it."""
    own = [FLAGS[name] for name in FLAGS if _is_listed(name)]
    general = [(flag.name, flag.default, flag.help) for flag in own]
    sections = {"Flags:": general}
    if flags.unlisted:
        known = flags.all_hyperparameters()
        arguments = [
            next(known[name][model] for model in MODELS if model in known[name])
            for name in UNSAVED
        ]
        sections[_STARTER_CODE] = [(a.name, a.default, a.help) for a in arguments]
    elif "model" in FLAGS:
        general += _list_hyperparameters(models.VideoModel)
        for cls in _find_chosen():
            if listed := _list_hyperparameters(cls):
                sections[f"{cls.__name__}: {summary(cls)}".rstrip(": ")] = listed
    return sections


def _is_listed(name):
    """Whether it is a flag of ours, and not one of the model's."""
    module = FLAGS.find_module_defining_flag(name)
    ours = module == sys.argv[0] or module.startswith("youtube8m")
    return ours and name not in {*flags.unlisted, *flags.hyperparameter_flags}


def _find_chosen():
    """The classes of the model and the loss, if any of them is named."""
    names = ("model", "video_level_classifier_model", "label_processing", "label_loss")
    preset = "preset" in FLAGS and FLAGS.preset
    if not preset and not any(FLAGS[name].present for name in names):
        return []
    chosen = flags.chosen_classes(flags.read(ModelConfig))
    return [cls for cls in chosen if cls is not models.VideoModel]


def _list_hyperparameters(cls):
    """A class's hyper-parameters; a preset's value is the default."""
    found = []
    for name, argument in hyperparameters(cls).items():
        preset = FLAGS[name].default
        default = argument.default if preset is None else preset
        found.append((name, default, argument.help))
    return found


def _format_flag(name, default, help):
    value = "..." if default in (None, "") else default
    if isinstance(default, float):
        value = f"{default:.12g}"
    elif isinstance(default, bool):
        value = str(default).lower()
    indent = {"initial_indent": " " * 6, "subsequent_indent": " " * 6}
    wrapped = textwrap.wrap(help, WIDTH, break_on_hyphens=False, **indent)
    return [f"  --{name}={value}", *wrapped]
