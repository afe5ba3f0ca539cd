"""The network of the team Samaritan, by the first of their configuration files."""

from youtube8m import schema
from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_VIDEOS

PAPER = Paper(
    name="Ostyakov et al. 2018",
    title="Label Denoising with Large Ensembles of Heterogeneous Neural Networks",
    url="https://arxiv.org/abs/1809.04403",
    read="the abstract, and the configuration files of the released code",
    code="https://github.com/twoleggedeye/youtube8m",
)

PRESETS = [
    Preset(
        "samaritan2018-resnet",
        row="config0, ResNetLike",
        flags={
            **ON_VIDEOS,
            "num_classes": schema.NUM_CLASSES_2018,
            "input_transform": "none",
            "model": "ResNetLike",
            "inner_size": 2048,
            "av_id_block_num": 4,
            "concat_id_block_num": 4,
            "block_dropout": 0.4,
            "base_learning_rate": 0.005,
            "learning_rate_decay": 0.5,
            "batch_size": 4096,
            "num_epochs": 40,
            "max_steps": 40_000,
        },
        open_questions=[
            "Unclear in the paper: the figure of this model alone, which the code does "
            "not note. We use: the configuration, without a figure as a target.",
            "Unclear in the paper: when the learning rate falls; the code halves it "
            "where the validation's loss does not fall for two of its epochs of 1,000 "
            "batches. We use: half of it every 4 million examples.",
            "Unclear in the paper: what mixing each example with one of the batch "
            "before adds (mixup, alpha 0.3), as the code does. We use: examples as "
            "they are.",
            "Unclear in the paper: whether features are divided by their norm; the "
            "network's code does not. We use: features as they are.",
            "Unclear in the paper: which labels this network learns; the submitted one "
            "learns probabilities of an ensemble in their place. We use: the labels.",
        ],
    ),
]
