"""The model of a run, and the run: what model_flags.json keeps.

run = RunConfig(data, ModelConfig(model="LstmModel"))
RunConfig.from_json(run.to_json()) == run
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from youtube8m.config.data import DataConfig
from youtube8m.config.fields import flag, require, split_list
from youtube8m.errors import UserError
from youtube8m.schema import CLASS_FACTS
from youtube8m.util.json import JsonError, parse_json

DEFAULTS_VERSION = 2  # grows when defaults of constructors change
_ADDED = ("feature_dtypes", "context_features", "labels_key", "id_key")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which model, classifier and loss, and their hyper-parameters.

    `hyperparameters` maps constructor arguments to values; what it lacks is left to
    the constructors' defaults. MoeModel also stands for the one classifier that a
    frame-level model goes with.
    """

    model: str = flag("LogisticModel", "The model to train, by class name.")
    video_level_classifier_model: str = flag(
        "MoeModel", "The classifier behind a frame-level model, by class name."
    )
    label_processing: str = flag(
        "", "What happens to the predictions behind the classifier, by class name."
    )
    label_loss: str = flag("CrossEntropyLoss", "The loss, by class name.")
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    # The CLASS_FACTS, for models that ask for them; of each class, the number of its
    # vertical and the videos of the training split that have it.
    verticals: tuple[int, ...] = ()
    class_counts: tuple[int, ...] = ()
    num_verticals: int | None = None
    # 1 of files without it: what they lack has the earlier default; see models.base.
    defaults_version: int = DEFAULTS_VERSION
    imports: tuple[str, ...] = ()  # --import; "import" in model_flags.json

    def __post_init__(self):
        require(
            isinstance(self.hyperparameters, Mapping),
            f"hyperparameters are {self.hyperparameters!r}; expected names and values",
        )
        object.__setattr__(self, "imports", split_list(self.imports))
        for name in ("verticals", "class_counts"):
            numbers = tuple(map(int, split_list(getattr(self, name))))
            object.__setattr__(self, name, numbers)
        least = max(self.verticals, default=-1) + 1
        if self.num_verticals is None and least:  # of a run before it was kept
            object.__setattr__(self, "num_verticals", least)
        number = self.num_verticals
        require(
            number is None or (type(number) is int and number >= least),
            f"num_verticals is {number!r}; expected a number of at least {least}",
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that is needed to read the data and build the model again."""

    data: DataConfig
    model: ModelConfig
    # How the features were made, as features.json says; see `provenance`.
    features: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def constructor_values(self) -> dict[str, Any]:
        """What constructors may ask for: hyper-parameters, and facts of the data."""
        facts = {
            "num_classes": self.data.num_classes,
            "feature_names": self.data.feature_names,
            "feature_sizes": self.data.feature_sizes,
            "max_frames": self.data.longest_example,
        }
        for name in CLASS_FACTS:
            if fact := getattr(self.model, name):
                facts[name] = fact
        return {**self.model.hyperparameters, **facts}

    def to_json(self) -> str:
        """One flat JSON object; the starter code's five keys as it wrote them."""
        data, model = dataclasses.asdict(self.data), dataclasses.asdict(self.model)
        # Keys that earlier versions read.
        earlier = {"segment_labels": False, "released_code": self.data.released_crops}
        values = {**model, **data, **earlier}
        values["import"] = values.pop("imports")
        for name in ("num_verticals", "import", *_ADDED):
            if not values[name]:  # as in files of earlier versions
                del values[name]
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = ",".join(map(str, value))
        if self.features:
            values["features"] = dict(self.features)
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(
        cls, text: str | bytes, source: str = "model_flags.json"
    ) -> "RunConfig":
        """Reads `to_json`'s text, or the starter code's five keys alone.

        Raises UserError if it is no JSON object, or lacks a key of the starter code's.
        """
        try:
            return parse_json(text, lambda values: cls._from_values(values, source))
        except JsonError as error:
            raise UserError(f"{source}: damaged ({error}); restore it") from None

    @classmethod
    def _from_values(cls, values, source):
        require(isinstance(values, dict), f"{source}: expected a JSON object")
        keys = {"model", "feature_names", "feature_sizes", "frame_features"}
        missing = sorted(keys - values.keys())
        require(not missing, f"{source}: lacks the keys {', '.join(missing)}")
        values["imports"] = values.pop("import", ())
        if "hyperparameters" in values:  # not the starter code's
            values.setdefault("defaults_version", 1)

        def build(config_class):
            hints = typing.get_type_hints(config_class)
            known = {name: values[name] for name in hints.keys() & values.keys()}
            for name, value in known.items():
                fits = hints[name] not in (bool, int, str) or type(value) is hints[name]
                message = f"{source}: {name} is {value!r}, not of type {hints[name]}"
                require(fits, message)
            return config_class(**known)

        try:
            data = build(DataConfig)
            if "released_crops" not in values:
                data = data.with_released_code(values.get("released_code") is True)
            features = values.get("features", {})
            require(isinstance(features, dict), f"{source}: features is no object")
            return cls(data, build(ModelConfig), features)
        except UserError as error:
            prefix = "" if str(error).startswith(source) else f"{source}: "
            raise UserError(f"{prefix}{error}") from None
