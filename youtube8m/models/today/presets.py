"""Settings to begin with, for models of this package's own; no reported rows."""

from youtube8m import schema
from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES, ON_VIDEOS

PAPER = Paper(
    name="Today's standard",
    title="Attention Is All You Need, and later practice",
    url="https://arxiv.org/abs/1706.03762",
    read="nothing that these models report; the settings are our own",
)
OWN = {"num_classes": schema.NUM_CLASSES_2018, "base_learning_rate": 0.001}
TARGET = (
    "Unclear in the paper: what these models reach on all of YouTube-8M, on which "
    "nobody has trained them. We use: settings that did well on smaller data."
)

PRESETS = [
    Preset(
        "today-frame-mlp",
        row="MLP on each frame, decision-level attention",
        flags={
            **ON_FRAMES,
            **OWN,
            "model": "FrameMlp",
            "video_level_classifier_model": "AttentiveLogisticModel",
            "input_transform": "none",
            "frame_mlp_size": 1024,
            "frame_mlp_layers": 3,
            "drop_rate": 0.5,
            "batch_size": 256,
        },
        open_questions=[TARGET],
    ),
    Preset(
        "today-transformer",
        row="transformer over frames",
        flags={
            **ON_FRAMES,
            **OWN,
            "model": "FrameTransformer",
            "video_level_classifier_model": "LogisticModel",
            "input_transform": "none",
            "transformer_size": 512,
            "transformer_layers": 4,
            "attention_heads": 8,
            "drop_rate": 0.1,
            "stochastic_depth": 0.1,
            "base_learning_rate": 0.0003,
        },
        open_questions=[TARGET],
    ),
    Preset(
        "today-residual-mlp",
        row="residual MLP on video-level features",
        flags={
            **ON_VIDEOS,
            **OWN,
            "model": "ResidualMlpModel",
            "input_transform": "none",
            "residual_mlp_size": 2048,
            "residual_mlp_layers": 2,
            "residual_mlp_dropout": 0.5,
            "batch_size": 512,
        },
        open_questions=[TARGET],
    ),
]
