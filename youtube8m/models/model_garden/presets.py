"""The settings of the port in TensorFlow's Model Garden; it reports no rows."""

from youtube8m import schema
from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES

PAPER = Paper(
    name="TensorFlow Model Garden",
    title="TensorFlow's official models, projects/yt8m",
    url="https://github.com/tensorflow/models/tree/master/official/projects/yt8m",
    read="the released code (tf-models-official 2.19.1)",
    code="https://github.com/tensorflow/models",
)

FRAMES = {
    **ON_FRAMES,
    "num_classes": schema.NUM_CLASSES_2018,
    "model": "MaskedDBoF",
    "video_level_classifier_model": "InputGatedMoeModel",
    "base_learning_rate": 0.0002,
    "learning_rate_decay": 0.95,
    # Of 3,888,919 examples, every one and a half epochs of whole batches.
    "learning_rate_decay_examples": 5_831_680.0,
    "batch_size": 1024,
    "num_epochs": 100,
    "moe_num_mixtures": 5,
    "moe_gate_bias": True,
    "moe_l2": 1e-5,
}
LOSS = (
    "Unclear in the paper: how its loss, a mean over classes, compares with ours, a "
    "sum, whose gradients the clipping to norm 1 may shorten. We use: the sum."
)
WARM_UP = (
    "Unclear in the paper: what its linear warm-up of 500 steps brings, which has no "
    "flag here. We use: none."
)

PRESETS = [
    Preset(
        "model_garden-dbof",
        row="configuration of the code, DBoF",
        flags={
            **FRAMES,
            "dbof_cluster_size": 3000,
            "dbof_hidden_size": 2000,
            "dbof_pooling_method": "average",
            "dbof_activation": "relu",
            "use_context_gate_cluster_layer": False,
            "use_input_context_gate": False,
        },
        open_questions=[LOSS, WARM_UP],
    ),
    Preset(
        "model_garden-dbof-experiment",
        row="experiments/yt8m.yaml, DBoF",
        flags={
            **FRAMES,
            "dbof_cluster_size": 8192,
            "dbof_hidden_size": 1024,
            "dbof_pooling_method": "max",
            "dbof_activation": "sigmoid",
            "use_context_gate_cluster_layer": False,
            "use_input_context_gate": False,
        },
        open_questions=[LOSS, WARM_UP],
    ),
]
