"""Transformers of the ninth place of 2019, by the table and scripts of their code."""

from youtube8m import schema
from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES

PAPER = Paper(
    name="Youtube8M-TM 2019",
    title="3rd YouTube-8M Video Understanding Challenge, the ninth place",
    url="https://github.com/hughshaoqz/3rd-Youtube8M-TM",
    read="the README of the released code, with its table, and the scripts",
    code="https://github.com/hughshaoqz/3rd-Youtube8M-TM",
)

BERT = {
    **ON_FRAMES,
    "num_classes": schema.NUM_CLASSES_2018,
    "model": "BertEncoder",
    "video_level_classifier_model": "GatedMoeModel",
    "iterations": 5,
    "sample_random_frames": False,
    "bert_hidden_layer": 2,
    "bert_attention_heads": 12,
    "bert_intermediate_size": 3072,
    "bert_dropout_prob": 0.1,
    "bert_positions": "none",
    "moe_num_mixtures": 2,
    "moe_l2": 1e-6,
    "moe_prob_gating": False,
    "base_learning_rate": 0.0001,
    "learning_rate_decay": 0.9,
    "num_epochs": 1000,
    "max_steps": 200_000,
}
CROSS = {**BERT, "model": "BertCrossEncoder", "bert_attention_heads": 8}

SEGMENTS = (
    "Unclear in the paper: what these flags alone reach; the figure, the mean average "
    "precision of segments on the private leaderboard, comes after 20,000 more steps "
    "on rated segments, and merges lists of shifted frames. We use: the 200,000 steps "
    "on videos; --warm_start_from goes on from them with --segment_labels."
)
DECAY = (
    "Unclear in the paper: after how many examples the learning rate decays, 2 million "
    "in the README and 4 million by the code's default. We use: 4 million."
)
HEADS = (
    "Unclear in the paper: whether the pooled frame is the first or the last; the "
    "table says first, the code takes the last. We use: the last."
)

PRESETS = [
    Preset(
        f"bert2019-{name}",
        row=f"README, {row}",
        figure=f"MAP {figure}",
        flags={**flags, "pooling_strategy": pooling},
        open_questions=[SEGMENTS, DECAY, *([HEADS] if pooling == "last" else [])],
        validation=True,
    )
    for name, row, figure, flags, pooling in (
        ("mean", "BertMean L2H12", "0.7725", BERT, "mean"),
        ("last", "BertFirst L2H12", "0.7707", BERT, "last"),
        ("cross-mean", "BertCrossMean L2H8", "0.7680", CROSS, "mean"),
        ("cross-attention", "BertCrossAttn L2H8", "0.7692", CROSS, "attention"),
    )
]
