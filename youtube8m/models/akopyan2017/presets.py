"""The rows that Akopyan and Khashba 2017 report."""

from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES

PAPER = Paper(
    name="Akopyan and Khashba 2017",
    title="Large-Scale YouTube-8M Video Understanding with Deep Neural Networks",
    url="https://arxiv.org/abs/1706.04488",
    read="the sections BoF_4096, Simple_LSTM and LSTM_MoE, and Table 3",
)

FRAMES = {
    **ON_FRAMES,
    "skip_frames": 20,
    "max_frames": 90,
    "video_level_classifier_model": "LogisticModel",
    "optimizer": "RMSPropOptimizer",
    "clip_gradient_norm": 0.0,
    "num_epochs": 20,  # more than --max_steps needs
}

ALL_ROWS = [
    "Unclear in the paper: the activation. We use: ReLU.",
    "Unclear in the paper: whether 0.3 and 0.4 are the share that dropout drops or "
    "keeps. We use: the share that it drops.",
    "Unclear in the paper: the factor of the learning rate's decay. We use: 0.95, the "
    "starter code's.",
    "Unclear in the paper: whether gradients are clipped, as the starter code does; "
    "the paper does not mention it. We use: no clipping.",
    "Unclear in the paper: whether the features are normalised. We use: the starter "
    "code's L2 norm.",
    "Unclear in the paper: how long a model is trained; epochs and steps do not "
    "agree. We use: the steps.",
    "Unclear in the paper: on which split the figure was measured. We use: the "
    "training split alone for training.",
]
CLASS_WEIGHTS = (
    "Unclear in the paper: the constant of the classes' weights in the loss. We use: "
    "the weight 1 for the most frequent class."
)
EXPERTS = (
    "Unclear in the paper: the size of an expert's output, and the weights of "
    "importance and load in the loss. We use: 512, 0.1 and 0.1."
)

PRESETS = [
    Preset(
        "akopyan2017-bof-4096",
        row="BoF_4096",
        figure="Hit@1 .78, GAP .66",
        flags={
            **FRAMES,
            "model": "BagOfFrames",
            "dropout_rate": 0.3,
            "hidden_size": 4096,
            "base_learning_rate": 0.0001,
            "learning_rate_decay_examples": 2e7,
            "batch_size": 512,
            "max_steps": 60000,
        },
        open_questions=ALL_ROWS,
    ),
    Preset(
        "akopyan2017-lstm-residual",
        row="Simple_LSTM_residual",
        figure="Hit@1 .82, GAP .75",
        flags={
            **FRAMES,
            "model": "WeightedLSTM",
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "dropout_rate": 0.4,
            "residual": True,
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 256,
            "max_steps": 200000,
        },
        open_questions=[
            *ALL_ROWS,
            "Unclear in the paper: what the residual connection around the first "
            "layer adds, whose input has another size than its output. We use: none "
            "there.",
        ],
    ),
    Preset(
        "akopyan2017-lstm-2048",
        row="Simple_LSTM_2048",
        figure="Hit@1 .85, GAP .77",
        flags={
            **FRAMES,
            "model": "WeightedLSTM",
            "lstm_cells": 2048,
            "lstm_layers": 2,
            "dropout_rate": 0.4,
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 256,
            "max_steps": 100000,
        },
        open_questions=ALL_ROWS,
    ),
    Preset(
        "akopyan2017-lstm-l3-2048",
        row="Simple_LSTM_l3_2048",
        figure="Hit@1 .87, GAP .79",
        flags={
            **FRAMES,
            "model": "WeightedLSTM",
            "lstm_cells": 2048,
            "lstm_layers": 3,
            "dropout_rate": 0.4,
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 256,
            "max_steps": 80000,
        },
        open_questions=ALL_ROWS,
    ),
    Preset(
        "akopyan2017-lstm-2048-bal",
        row="Table 3, Simple_LSTM_2048_bal",
        figure="Hit@1 .71, GAP .59",
        flags={
            **FRAMES,
            "model": "WeightedLSTM",
            "lstm_cells": 2048,
            "lstm_layers": 2,
            "dropout_rate": 0.4,
            "label_loss": "WeightedCrossEntropyLoss",
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 256,
            "max_steps": 80000,
        },
        open_questions=[*ALL_ROWS, CLASS_WEIGHTS],
    ),
    Preset(
        "akopyan2017-lstm-l3-2048-bal",
        row="Table 3, Simple_LSTM_3_2048_bal",
        figure="Hit@1 .73, GAP .61",
        flags={
            **FRAMES,
            "max_frames": 120,
            "model": "WeightedLSTM",
            "lstm_cells": 2048,
            "lstm_layers": 3,
            "dropout_rate": 0.4,
            "label_loss": "WeightedCrossEntropyLoss",
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 128,
            "max_steps": 80000,
        },
        open_questions=[*ALL_ROWS, CLASS_WEIGHTS],
    ),
    Preset(
        "akopyan2017-lstm-moe-512",
        row="LSTM_MoE_512",
        figure="Hit@1 .80, GAP .76",
        flags={
            **FRAMES,
            "model": "LSTMMoE",
            "lstm_cells": 512,
            "active_experts": 4,
            "dropout_rate": 0.4,
            "expert_size": 1024,
            "importance_weight": 0.1,
            "load_weight": 0.1,
            "num_experts": 64,
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 128,
            "max_steps": 50000,
        },
        open_questions=[*ALL_ROWS, EXPERTS],
    ),
    Preset(
        "akopyan2017-lstm-moe-512-bal",
        row="Table 3, LSTM_MoE_512_bal",
        figure="Hit@1 .57, GAP .32",
        flags={
            **FRAMES,
            "model": "LSTMMoE",
            "lstm_cells": 512,
            "active_experts": 4,
            "dropout_rate": 0.4,
            "expert_size": 1024,
            "importance_weight": 0.1,
            "load_weight": 0.1,
            "num_experts": 64,
            "label_loss": "WeightedCrossEntropyLoss",
            "base_learning_rate": 0.0002,
            "learning_rate_decay_examples": 1e7,
            "batch_size": 128,
            "max_steps": 50000,
        },
        open_questions=[*ALL_ROWS, CLASS_WEIGHTS, EXPERTS],
    ),
]
