"""The rows of the papers' tables by name, and the flags behind each.

    preset = find("zou2017-bilstm-moe")
    preset.paper, preset.row, preset.figure     # what it reproduces
    preset.flags["lstm_cells"]                  # train.py's flags by name
    preset.questions                            # what the sources leave open

Where a paper gives no value, the one here is the starter code's or the nearest row's,
and `questions` says so. `python -m youtube8m.tools.presets` lists them all.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from youtube8m import schema
from youtube8m.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Preset:
    """One reported row.

    A preset with `members` is no model but the mean of theirs; `starts` are the crops
    predicted with each member that crops (--crop_starts), `inference` and `merge` more
    flags of inference.py and tools.ensemble. One with `first_stage` trains on the
    descriptors that tools.extract_descriptors writes with that preset's model.
    """

    paper: str
    row: str
    figure: str  # as reported, on the paper's own split; '' where there is none
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    questions: tuple[str, ...] = ()
    validation: bool = False  # trained on the validation split too
    first_stage: str = ""
    members: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    inference: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    merge: Mapping[str, Any] = dataclasses.field(default_factory=dict)


PRESETS: dict[str, Preset] = {}


def find(name: str) -> Preset:
    """The preset called `name`. Raises UserError with the nearest names."""
    if name not in PRESETS:
        raise unknown_name("--preset", name, PRESETS)
    return PRESETS[name]


# The starter code's, which all papers but Akopyan and Khashba's build on.
_TRAINING = {
    "num_classes": schema.NUM_CLASSES_2017,
    "optimizer": "AdamOptimizer",
    "num_epochs": 5,
    "learning_rate_decay": 0.95,
    "learning_rate_decay_examples": 4e6,
    "clip_gradient_norm": 1.0,
}
_VIDEO = {
    "feature_names": "mean_rgb,mean_audio",
    "feature_sizes": "1024,128",
    "batch_size": 1024,
    **_TRAINING,
}
_FRAMES = {
    "frame_features": True,
    "feature_names": "rgb,audio",
    "feature_sizes": "1024,128",
    "batch_size": 128,
    **_TRAINING,
}
_BATCH_SIZE = "batch size: the starter code's (128 on frames, 1024 on videos)"


_FIELDS = {field.name for field in dataclasses.fields(Preset)}


class _Paper:
    """Adds the presets of one paper: their names' start, and what its rows share."""

    def __init__(self, prefix: str, paper: str, *questions: str, **shared: Any):
        self.prefix, self.paper = prefix, paper
        self.questions, self.shared = questions, shared

    def add(self, name, row, figure, base, *questions, **values):
        """Adds a preset; `values` are fields of Preset, or else flags beside `base`."""
        if base:  # else an ensemble
            values = {**base, **self.shared, **values}
            questions = (*self.questions, *questions)
        own = {k: values.pop(k) for k in _FIELDS & values.keys()}
        PRESETS[f"{self.prefix}-{name}"] = Preset(
            self.paper, row, figure, values, questions, **own
        )


# ---------------------------------------------------------------------- Tang et al.

_tang = _Paper("tang2017", "Tang et al. 2017", base_learning_rate=0.001)
_MOE4 = {**_FRAMES, "video_level_classifier_model": "MoeModel", "moe_num_mixtures": 4}
_CELLS2 = "cells in Table 2: 1024, those of the paper's LSTM"
_CELLS3 = "cells in Table 3: 1152, those of the paper's final models"
_CELL = "the paper writes GRU equations, its code has LSTM cells: LSTM"

_tang.add(
    "moe",
    "Table 1, MoE",
    "GAP 0.7930",
    _VIDEO,
    _BATCH_SIZE,
    model="MoeModel",
    moe_num_mixtures=8,
)
_tang.add(
    "dbof",
    "Table 1, DBoF",
    "GAP 0.7948",
    _MOE4,
    _BATCH_SIZE,
    model="DbofModel",
    moe_num_mixtures=8,
    iterations=30,
    dbof_cluster_size=8192,
    dbof_hidden_size=1024,
    dbof_activation="relu6",
)
for _name, _row, _figure, _mixtures in (
    ("lstm", "Table 1, LSTM", "GAP 0.8036", 8),
    ("lstm-moe-4", "Table 2, LSTM", "GAP 0.80357", 4),
):
    _tang.add(
        _name,
        _row,
        _figure,
        _MOE4,
        _BATCH_SIZE,
        "Tables 1 and 2 print the same figure for 8 and 4 experts: one preset each",
        model="LSTMMemory",
        lstm_memory="none",
        lstm_cells=1024,
        lstm_layers=1,
        moe_num_mixtures=_mixtures,
    )
_tang.add(
    "bilstm",
    "Table 2, BiLSTM",
    "GAP 0.80534",
    _MOE4,
    _BATCH_SIZE,
    _CELL,
    model="BiLSTM",
    lstm_cells=1024,
    lstm_layers=1,
)
_tang.add(
    "single-att",
    "Table 2, Single-ATT+BiLSTM",
    "GAP 0.81308",
    _MOE4,
    _BATCH_SIZE,
    _CELLS2,
    _CELL,
    model="BiLSTMAttention",
    lstm_cells=1024,
    lstm_layers=1,
)
_SPLIT = {
    "model": "SplitBiLSTMAttention",
    "visual_lstm_cells": 1024,
    "audio_lstm_cells": 128,
}
_tang.add(
    "split-att",
    "Table 2, Split+ATT",
    "GAP 0.81309",
    _MOE4,
    _BATCH_SIZE,
    _CELL,
    "experts: 4 as Table 2 says for every row; the list of models has 16",
    **_SPLIT,
)
_tang.add(
    "multi-att",
    "Table 2, Multi-ATT+BiLSTM",
    "GAP 0.81187",
    _FRAMES,
    _BATCH_SIZE,
    _CELLS2,
    _CELL,
    "the code pools and scores otherwise than the paper: no pooling, the code's score",
    model="MultiAttentionBiLSTM",
    lstm_cells=1024,
    vertical_bias=False,
)
_MAX_POOL = {"model": "MaxPoolBiLSTMAttention", "lstm_cells": 1152}
for _size, _figure in ((3, "GAP 0.82046"), (5, "GAP 0.81821")):
    _tang.add(
        f"max-pool-{_size}",
        f"Table 3, ATT+MaxPool+BiLSTM, window {_size}",
        _figure,
        _MOE4,
        _BATCH_SIZE,
        _CELLS3,
        _CELL,
        **_MAX_POOL,
        pool_size=_size,
    )
for _layers, _figure in ((1, "GAP 0.80954"), (4, "GAP 0.81513")):
    _tang.add(
        f"random-{_layers}",
        f"Table 3, ATT+Random+BiLSTM, layers: {_layers}",
        _figure,
        _MOE4,
        _BATCH_SIZE,
        _CELLS3,
        _CELL,
        "the authors' frames were drawn at test time too: the middle ones here",
        model="RandomBiLSTMAttention",
        lstm_cells=1152,
        lstm_layers=_layers,
    )
_tang.add(
    "hierarchical",
    "Table 3, ATT+Hierarchical+BiLSTM",
    "GAP 0.80934",
    _MOE4,
    _BATCH_SIZE,
    _CELL,
    model="HierarchicalBiLSTMAttention",
    lstm_cells=1152,
)

_SECOND_STAGE = {
    **_VIDEO,
    "feature_names": "descriptor",
    "feature_sizes": "1152",
    "num_epochs": 8,
}
_SECOND = "batch size of the second stage: 1024, the starter code's on videos"
_HMOE = {
    "model": "HierarchicalMoeModel",
    "coarse_num_mixtures": 4,
    "label_num_mixtures": 4,
}
_HMOE_EXPERTS = "HMoE's experts: 4 as in the paper's list; its code has 8"
_CHAIN = {
    "model": "ClassifierChainModel",
    "moe_num_mixtures": 8,
    "chain_groups": 12,
    "feature_bottleneck": 512,
    "distribution_bottleneck": 1024,
    "chain_dropout": 0.5,
}
_CHAIN_FORM = (
    "which of the code's chains, with how many experts (8 in the code, 4 in the list): "
    "CCMoeModel, 8"
)
_CHECKPOINT = "which stage's checkpoint the list numbers: all epochs are trained here"
_DROPOUT = {"dropout_keep_prob": 0.5}
_DECAY = {"learning_rate_decay": 0.5, "learning_rate_decay_examples": 2e7}

for _name, _row, _also in (
    ("", "first stage of 7", {}),
    ("-dropout", "first stage of 8, 17, 18", _DROPOUT),
):
    _tang.add(
        f"first-stage{_name}",
        f"section 3, {_row}",
        "",
        _MOE4,
        _CELL,
        batch_size=64,
        num_gpu=8,
        pool_size=3,
        **_MAX_POOL,
        **_also,
    )
_FIRST = "tang2017-first-stage-dropout"
_tang.add(
    "hmoe",
    "Table 4, MaxPool+HMoE",
    "GAP 0.82416",
    _SECOND_STAGE,
    _SECOND,
    _HMOE_EXPERTS,
    first_stage=_FIRST,
    **_HMOE,
)
_tang.add(
    "cc",
    "Table 4, MaxPool+CC",
    "GAP 0.82301",
    _SECOND_STAGE,
    _SECOND,
    _CHAIN_FORM,
    first_stage=_FIRST,
    **_CHAIN,
)

# Number -> figure, batch size, GPUs, experts and max-pooling window or 0 of one stage.
_LIST = {
    1: (0.81613, 64, 8, 4, 3),
    2: (0.81768, 128, 4, 8, 3),
    3: (0.81827, 128, 2, 16, 0),
    4: (0.81619, 128, 2, 8, 5),
    5: (0.81909, 128, 1, 16, 0),
    6: (0.81703, 64, 2, 16, 0),
    9: (0.81748, 128, 4, 8, 5),
    10: (0.81704, 128, 4, 16, 3),
    11: (0.81704, 128, 4, 8, 3),
    12: (0.81865, 128, 4, 8, 3),
    13: (0.81996, 128, 4, 8, 3),
    14: (0.81878, 128, 4, 8, 3),
    15: (0.81885, 128, 4, 16, 0),
    16: (0.81796, 128, 1, 16, 0),
}
# Number -> figure, first stage, flags and open questions of the second.
_TWO_STAGES = {
    7: (0.81811, "tang2017-first-stage", _HMOE, (_HMOE_EXPERTS,)),
    8: (0.82416, _FIRST, _HMOE, (_HMOE_EXPERTS, _CHECKPOINT)),
    17: (0.82301, _FIRST, _CHAIN, (_CHAIN_FORM,)),
    18: (0.82416, _FIRST, _HMOE, (_HMOE_EXPERTS, _CHECKPOINT)),
}


def _add_listed(number):
    """The model of that number in the list of section 3."""
    name, row = f"ensemble-{number:02d}", f"section 3, model {number}"
    if number in _TWO_STAGES:
        figure, first, flags, questions = _TWO_STAGES[number]
        _tang.add(
            name,
            row,
            f"GAP {figure}",
            _SECOND_STAGE,
            _SECOND,
            *questions,
            first_stage=first,
            **flags,
        )
        return
    figure, batch, gpus, mixtures, window = _LIST[number]
    flags = {**_MAX_POOL, "pool_size": window} if window else _SPLIT
    _tang.add(
        name,
        row,
        f"GAP {figure}",
        _MOE4,
        _CELL,
        batch_size=batch,
        num_gpu=gpus,
        moe_num_mixtures=mixtures,
        validation=number in (14, 15),
        **flags,
        **(_DECAY if number in (11, 13, 16) else {}),
        **(_DROPOUT if number in (12, 13, 16) else {}),
    )


for _number in range(1, 19):
    _add_listed(_number)
_tang.add(
    "ensemble",
    "ensemble",
    "GAP 0.84346 public, 0.84333 private",
    {},
    "members: 18 as in the abstract and the list; section 3 says 19",
    "full predictions or the 20 best averaged: each member's 100 best",
    members=tuple(f"tang2017-ensemble-{number:02d}" for number in range(1, 19)),
    inference={"top_k": 100},
)

# ------------------------------------------------------------------------------ Zhao

_zhao = _Paper(
    "zhao2019",
    "Zhao 2019",
    _BATCH_SIZE,
    "epochs: 5, the starter code's",
    "split of the figures: unknown",
    "decay: every 4e6 examples throughout; the paper goes to 4e4 near the end",
    base_learning_rate=0.01,
)
_MOE2 = {**_FRAMES, "video_level_classifier_model": "MoeModel", "moe_num_mixtures": 2}
_CELLS = "cells: 1024 per layer and direction"
_PEEPHOLES = "the equations have peepholes, the starter code's cells none: none"
_CHANCE = (
    "how modalities are joined: linear maps to 1024; the figure is chance, no target"
)

_zhao.add("lr", "LR, video", "GAP 0.70727", _VIDEO, model="LogisticModel")
_zhao.add(
    "lstm",
    "LSTM, frame",
    "GAP 0.79903",
    _MOE2,
    _PEEPHOLES,
    model="LstmModel",
    lstm_cells=1024,
    lstm_layers=2,
)
_zhao.add(
    "bilstm",
    "Bi-LSTM, frame",
    "GAP 0.80597",
    _MOE2,
    _CELLS,
    _PEEPHOLES,
    model="StackedBiLSTM",
    lstm_cells=1024,
    lstm_layers=2,
)
_zhao.add(
    "attention",
    "Attention, frame",
    "GAP 0.81415",
    _MOE2,
    _CELLS,
    "size of the embedding and of the attention, number of layers: 1024, 1024, 1",
    model="BiGRUAttention",
    embedding_size=1024,
    gru_cells=1024,
    gru_layers=1,
    attention_size=1024,
)
for _fusion, _row, _figure, _question in (
    (
        "concat",
        "Bi-GRU, concat, frame",
        "GAP 0.84022",
        "of after the contest, on an unnamed split: no target",
    ),
    ("shared", "Bi-GRU, shared-space, frame", "GAP 0.01106", _CHANCE),
    ("projection", "Bi-GRU, projection, frame", "GAP 0.01684", _CHANCE),
):
    _zhao.add(
        f"bigru-{_fusion}",
        _row,
        _figure,
        _MOE2,
        _CELLS,
        _question,
        model="StackedBiGRU",
        gru_cells=1024,
        gru_layers=2,
        modality_fusion=_fusion,
    )
_zhao.add(
    "ensemble",
    "Ensemble LR+LSTM",
    "GAP 0.81891",
    {},
    "weights are the members' GAPs on held-out videos: put in your own",
    members=("zhao2019-lr", "zhao2019-lstm"),
    merge={"gaps": "0.70727,0.79903"},
)

# ------------------------------------------------------------------------ Na et al.

_na = _Paper(
    "na2017",
    "Na et al. 2017",
    "decay: every 1.5M examples; the paper says iterations, the code 2M examples",
    base_learning_rate=0.0006,
    learning_rate_decay_examples=1.5e6,
    validation=True,
)
_ONE_LAYER = "LSTM layers: 1 as the paper counts; the code's default is 2"
_HUBER = "0.820 is printed for this row with and without the Huber loss"
_CLUSTERING = (
    "the code's clustering weighs all frames alike: the paper's formula here; "
    "--released_code is nearest to the figure"
)
_DIVISION = "the code's division makes all weights 1: the formula here"


for _name, _row, _figure, _memory, _questions in (
    ("lstm", "LSTM", 0.811, "none", ()),
    ("lstm-m", "LSTM-M", 0.815, "m", ()),
    ("lstm-m-o", "LSTM-M-O", 0.820, "m-o", (_HUBER,)),
):
    _na.add(
        _name,
        f"Table 1, {_row}",
        f"GAP {_figure:.3f}",
        _MOE2,
        _ONE_LAYER,
        *_questions,
        model="LSTMMemory",
        lstm_cells=1152,
        lstm_layers=1,
        lstm_memory=_memory,
    )
_na.add(
    "lstm-m-o-ln",
    "Table 1, LSTM-M-O-LN",
    "GAP 0.815",
    _MOE2,
    _ONE_LAYER,
    "the code has no O, and keeps 0.8 of the candidates: O, and 0.2 dropped",
    model="LSTMMemory",
    lstm_cells=1152,
    lstm_layers=1,
    lstm_memory="m-o",
    layer_norm=True,
    dropout_rate=0.2,
)
for _channels, _figure in ((64, 0.704), (256, 0.753)):
    _na.add(
        f"cnn-{_channels}",
        f"Table 1, CNN-{_channels}",
        f"GAP {_figure}",
        _MOE2,
        "the code normalises what is pooled, the paper does not: not",
        model="TemporalCNN",
        num_channels=_channels,
        kernel_height=5,
    )
_na.add(
    "position-encoding",
    "Table 1, Position Encoding",
    "GAP 0.782",
    _MOE2,
    _DIVISION,
    model="PositionEncoding",
)
_na.add(
    "indirect-clustering",
    "Table 1, Indirect Clustering",
    "GAP 0.801",
    _MOE2,
    _CLUSTERING,
    model="IndirectClustering",
)
_na.add(
    "adaptive-noise",
    "Table 1, Adaptive Noise",
    "GAP 0.782",
    _MOE2,
    "no code: noise in training only, then the sum, normalised",
    model="AdaptiveNoise",
)

_CLUSTERED = {**_FRAMES, "model": "IndirectClustering"}
_MOE16 = {
    **_CLUSTERED,
    "video_level_classifier_model": "MoeModel",
    "moe_num_mixtures": 16,
}
_na.add(
    "many-to-many",
    "Table 2, Many-to-Many",
    "GAP 0.791",
    _FRAMES,
    "the code's mean of the scores counts pads: real frames only",
    model="ManyToManyLSTM",
    lstm_cells=1152,
)
for _mixtures, _figure in ((2, 0.424), (16, 0.421)):
    _na.add(
        f"2l-moe-{_mixtures}",
        f"Table 2, 2-layer MoE-{_mixtures}",
        f"GAP {_figure}",
        _CLUSTERED,
        _CLUSTERING,
        "in the code only the gates have a hidden layer: both, of 2048",
        video_level_classifier_model="MultiLayerMoeModel",
        moe_num_mixtures=_mixtures,
        moe_hidden_size=2048,
    )
for _norm, _row, _figure in (
    (False, "3-layer MLP-4096", 0.802),
    (True, "3-layer MLP-4096-LN", 0.809),
):
    _na.add(
        "mlp-4096-ln" if _norm else "mlp-4096",
        f"Table 2, {_row}",
        f"GAP {_figure}",
        _CLUSTERED,
        _CLUSTERING,
        video_level_classifier_model="MlpModel",
        mlp_layers=3,
        mlp_size=4096,
        mlp_layer_norm=_norm,
    )
for _name, _beta, _gamma, _figure in (
    ("fixed-0.3", 0.3, 0.0, 0.784),
    ("fixed-0.1", 0.1, 0.0, 0.787),
    ("trained-0.1", 0.0, 0.1, 0.788),
    ("fixed-0.01", 0.01, 0.0, 0.790),
    ("trained-0.01", 0.0, 0.01, 0.790),
    ("both-0.01", 0.01, 0.01, 0.788),
):
    _na.add(
        f"labels-{_name}",
        f"Table 3, alpha 1, beta {_beta:g}, gamma {_gamma:g}",
        f"GAP {_figure:.3f}",
        _MOE16,
        _CLUSTERING,
        "how the matrix is made of the counts: as the code normalises it; the code "
        "(LabelCorrelationMoeModel) mixes logits",
        label_processing="LabelCorrelation",
        correlation_alpha=1.0,
        correlation_beta=_beta,
        correlation_gamma=_gamma,
    )
_na.add("cross-entropy", "Table 4, cross entropy", "GAP 0.798", _MOE16, _CLUSTERING)
_na.add(
    "center",
    "Table 4, cross entropy + center",
    "GAP 0.799",
    _MOE16,
    _CLUSTERING,
    "centers with MoE-16: those of the descriptors; the code never moves them",
    label_loss="CenterLoss",
    center_loss_weight=0.001,
    center_rate=0.05,
)
for _delta, _figure in ((0.5, 0.803), (1.0, 0.801), (2.0, 0.798), (3.0, 0.794)):
    _na.add(
        f"huber-{_delta}",
        f"Table 4, Huber, delta {_delta}",
        f"GAP {_figure}",
        _MOE16,
        _CLUSTERING,
        label_loss="PseudoHuberLoss",
        huber_delta=_delta,
    )
_na.add(
    "lstm-m-o-huber",
    "final single model",
    "GAP 0.820",
    _MOE2,
    _ONE_LAYER,
    _HUBER,
    model="LSTMMemory",
    lstm_cells=1152,
    lstm_layers=1,
    lstm_memory="m-o",
    label_loss="PseudoHuberLoss",
    huber_delta=0.5,
)
_na.add(
    "ensemble",
    "ensemble",
    "GAP 0.839",
    {},
    "members, and how many: one of each kind that has 0.79 or more",
    "the full predictions are averaged: each member's 100 best",
    members=tuple(
        f"na2017-{name}"
        for name in ("lstm-m-o-huber", "lstm-m-o-ln", "lstm-m", "many-to-many")
    )
    + ("na2017-mlp-4096-ln", "na2017-huber-0.5"),
    inference={"top_k": 100},
)

# --------------------------------------------------------------- Akopyan and Khashba

_akopyan = _Paper(
    "akopyan2017",
    "Akopyan and Khashba 2017",
    "activation, what 0.3 and 0.4 say of dropout, factor of the decay, L2 norm: ReLU, "
    "the share dropped, 0.95 and the norm of the starter code",
    "epochs and steps do not agree: the steps; split of the figures: unknown",
)
_SKIPPED = {
    **_FRAMES,
    "skip_frames": 20,
    "max_frames": 90,
    "video_level_classifier_model": "LogisticModel",
    "optimizer": "RMSPropOptimizer",
    "num_epochs": 20,  # more than --max_steps needs
}
_LSTM_RATE = {"base_learning_rate": 2e-4, "learning_rate_decay_examples": 1e7}
_COUNTED = "constant of the weights: the most frequent class has 1"

_akopyan.add(
    "bof-4096",
    "BoF_4096",
    "Hit@1 .78, GAP .66",
    _SKIPPED,
    model="BagOfFrames",
    hidden_size=4096,
    dropout_rate=0.3,
    batch_size=512,
    base_learning_rate=1e-4,
    learning_rate_decay_examples=2e7,
    max_steps=60000,
)
for _name, _row, _figure, _cells, _layers, _steps, _also in (
    ("residual", "residual", "Hit@1 .82, GAP .75", 1024, 2, 200000, {"residual": True}),
    ("2048", "2048", "Hit@1 .85, GAP .77", 2048, 2, 100000, {}),
    ("l3-2048", "l3_2048", "Hit@1 .87, GAP .79", 2048, 3, 80000, {}),
    (
        "2048-bal",
        "2048_bal",
        "Hit@1 .71, GAP .59",
        2048,
        2,
        80000,
        {"label_loss": "WeightedCrossEntropyLoss"},
    ),
    (
        "l3-2048-bal",
        "3_2048_bal",
        "Hit@1 .73, GAP .61",
        2048,
        3,
        80000,
        {
            "label_loss": "WeightedCrossEntropyLoss",
            "max_frames": 120,
            "batch_size": 128,
        },
    ),
):
    _akopyan.add(
        f"lstm-{_name}",
        f"{'Table 3, ' if 'bal' in _name else ''}Simple_LSTM_{_row}",
        _figure,
        _SKIPPED,
        *((_COUNTED,) if "bal" in _name else ()),
        *(("residual around the first layer: none",) if "residual" in _also else ()),
        **{
            "model": "WeightedLSTM",
            "lstm_cells": _cells,
            "lstm_layers": _layers,
            "dropout_rate": 0.4,
            "batch_size": 256,
            "max_steps": _steps,
            **_LSTM_RATE,
            **_also,
        },
    )
for _name, _row, _figure, _also in (
    ("", "LSTM_MoE_512", "Hit@1 .80, GAP .76", {}),
    (
        "-bal",
        "Table 3, LSTM_MoE_512_bal",
        "Hit@1 .57, GAP .32",
        {"label_loss": "WeightedCrossEntropyLoss"},
    ),
):
    _akopyan.add(
        f"lstm-moe-512{_name}",
        _row,
        _figure,
        _SKIPPED,
        *((_COUNTED,) if _also else ()),
        "size of an expert's output, weights of importance and load: 512, 0.1, 0.1",
        model="LSTMMoE",
        lstm_cells=512,
        num_experts=64,
        active_experts=4,
        expert_size=1024,
        importance_weight=0.1,
        load_weight=0.1,
        dropout_rate=0.4,
        max_steps=50000,
        **_LSTM_RATE,
        **_also,
    )

# ------------------------------------------------------------------------ Zou et al.

_zou = _Paper("zou2017", "Zou et al. 2017", base_learning_rate=0.001)
_CROP = {
    "frame_sampling": "crop",
    "crop_frames": 45,
    "crop_stride": 5,
    "crop_range": 10,
}
_PROTOTYPE = {**_MOE2, "model": "LstmModel", "lstm_cells": 1024, "lstm_layers": 2}
_LOGISTIC = {**_FRAMES, "video_level_classifier_model": "LogisticModel"}
_BILSTM = {"model": "StackedBiLSTMLN", "lstm_cells": 1024, "top_lstm_cells": 1024}
_LN = {**_BILSTM, "top_lstm_cells": 768, "layer_norm": True}
_SCRIPT = {"learning_rate_decay_examples": 8e6, "clip_gradient_norm": 10.0}
_BOTH = "the code's descriptor has the forward direction only: both"

_zou.add(
    "baseline",
    "baseline",
    "GAP 0.74711 public, 0.74714 private",
    _VIDEO,
    "Kaggle's, not the authors': the starter code's values",
    model="LogisticModel",
    base_learning_rate=0.01,
)
_zou.add(
    "prototype-visual",
    "prototype full, visual only",
    "GAP 0.78105 public, 0.78143 private",
    _PROTOTYPE,
    feature_names="rgb",
    feature_sizes="1024",
)
_zou.add(
    "prototype",
    "prototype full",
    "GAP 0.80224 public, 0.80207 private",
    _PROTOTYPE,
)
_zou.add(
    "prototype-crop",
    "prototype crop",
    "GAP 0.80204 public, 0.80190 private",
    _PROTOTYPE,
    **_CROP,
)
_zou.add(
    "bilstm-lr-ln",
    "BiLSTM+LR+LN",
    "GAP 0.80761 public, 0.80736 private",
    _LOGISTIC,
    "trained for 2.7 epochs of 5; the authors' scripts have other values, see "
    "zou2017-bilstm-lr-ln-script",
    validation=True,
    **_LN,
    **_CROP,
)
_zou.add(
    "bilstm-lr-ln-script",
    "BiLSTM+LR+LN, as the authors' script",
    "",
    _LOGISTIC,
    validation=True,
    **{
        **_LN,
        **_SCRIPT,
        "base_learning_rate": 0.00085,
        "num_epochs": 6,
        "frame_sampling": "interval",
        "crop_stride": 5,
    },
)
_zou.add(
    "bilstm-moe",
    "BiLSTM+MoE",
    "GAP 0.81055 public, 0.81067 private",
    _MOE2,
    _BOTH,
    validation=True,
    layer_norm=False,
    **_BILSTM,
    **_CROP,
)
_zou.add(
    "bilstm-moe-att",
    "BiLSTM+MoE+attention",
    "GAP 0.81232 public, 0.81227 private",
    _MOE2,
    "the code takes other places (--released_code): the paper's",
    validation=True,
    model="SegmentAttentionBiLSTM",
    lstm_cells=1024,
    top_lstm_cells=1024,
    layer_norm=False,
    **_CROP,
)
_zou.add(
    "bilstm-moe-full",
    "BiLSTM+MoE full",
    "GAP 0.81401 public, 0.81399 private",
    _MOE2,
    _BOTH,
    validation=True,
    layer_norm=False,
    **_BILSTM,
)
_zou.add(
    "lstm-lr-ln",
    "LSTM+LR+LN, of the 36",
    "",
    _LOGISTIC,
    "no code: two layers of 1024, cropped",
    validation=True,
    model="LstmModel",
    lstm_cells=1024,
    lstm_layers=2,
    layer_norm=True,
    **_CROP,
)
_zou.add(
    "late-fusion",
    "LSTM+late fusion+LR, of the 36",
    "",
    _LOGISTIC,
    "sizes and training: those of the authors' script",
    validation=True,
    **{
        "model": "LateFusionLSTM",
        "visual_lstm_cells": 512,
        "audio_lstm_cells": 150,
        "top_lstm_cells": 1200,
        "layer_norm": True,
        **_SCRIPT,
        "base_learning_rate": 0.0008,
        "frame_sampling": "interval",
        "crop_stride": 6,
    },
)
_zou.add(
    "25-tasks",
    "section 7.1, 25 tasks",
    "GAP about 0.60 after 10k steps",
    _FRAMES,
    "clip norm: 10, that of the other scripts",
    validation=True,
    **{
        "model": "PerVerticalBiLSTM",
        "cells_per_class": 0.7,
        "min_lstm_cells": 80,
        "lstm_layers": 1,
        "layer_norm": True,
        "batch_size": 45,
        "num_gpu": 4,
        "base_learning_rate": 0.0009,
        "learning_rate_decay_examples": 7e6,
        "clip_gradient_norm": 10.0,
        "frame_sampling": "interval",
        "crop_stride": 12,
    },
)
_OF_16 = tuple(
    f"zou2017-{name}"
    for name in ("bilstm-lr-ln", "bilstm-moe", "bilstm-moe-att", "bilstm-moe-full")
)
_zou.add(
    "ensemble-16",
    "ensemble of 16 predictions",
    "GAP 0.83477 public, 0.83470 private",
    {},
    "which 16: three cropped models at 5 starts and the full one",
    members=_OF_16,
    starts=(0, 1, 2, 3, 4),
)
_zou.add(
    "ensemble-36",
    "ensemble of 36 predictions",
    "GAP 0.83670 public, 0.83662 private",
    {},
    "which 36: five cropped models at 7 starts and the full one; the paper adds the "
    "starts 5, 6 and 7, which gives no 36",
    members=(*_OF_16, "zou2017-late-fusion", "zou2017-lstm-lr-ln"),
    starts=(0, 1, 2, 3, 4, 5, 6),
)
