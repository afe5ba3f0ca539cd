"""What the papers and the authors' scripts say of their rows, as literals.

These come from the sources, not from the presets. presets.txt is the second net: all
flags of all presets, so that a change is a decision.
"""

import dataclasses

import pytest

from tests.helpers import pinned
from youtube8m.models.preset import PRESETS


def test_every_preset_is_the_pinned_one():
    """Changed on purpose? Then `python -m tests.helpers.pinned` writes them anew."""
    assert pinned.preset_lines() == pinned.PRESETS_FILE.read_text().splitlines()


@dataclasses.dataclass(frozen=True)
class Training:
    """How a row is trained: what a source says, or the starter code where it is silent.

    Adam, its rate times 0.95 every 4 million examples, each gradient clipped to norm 1.
    """

    batch_size: int = 128
    base_learning_rate: float = 0.001
    learning_rate_decay: float = 0.95
    learning_rate_decay_examples: float = 4e6
    num_epochs: int = 5
    clip_gradient_norm: float = 1.0
    optimizer: str = "AdamOptimizer"
    num_gpu: int | None = None
    max_steps: int | None = None
    skip_frames: int | None = None
    max_frames: int | None = None


def with_batch(batch, gpus, **values):
    """Tang et al.'s "64 x 8": the batch of each GPU, and their number."""
    return Training(batch_size=batch, num_gpu=gpus, **values)


TANG, VIDEO = Training(), Training(batch_size=1024)
SLOWLY = {"learning_rate_decay": 0.5, "learning_rate_decay_examples": 2e7}
SECOND_STAGE = Training(batch_size=1024, num_epochs=8)
ZHAO = Training(base_learning_rate=0.01)
NA = Training(base_learning_rate=0.0006, learning_rate_decay_examples=1.5e6)
ZOU, CROPPED = Training(), Training(max_frames=225)
SCRIPT = {"learning_rate_decay_examples": 8e6, "clip_gradient_norm": 10.0}
# An upper bound of epochs, because the paper counts steps.
AKOPYAN = Training(
    batch_size=256,
    base_learning_rate=2e-4,
    learning_rate_decay_examples=1e7,
    num_epochs=20,
    clip_gradient_norm=0.0,
    optimizer="RMSPropOptimizer",
    skip_frames=20,
    max_frames=90,
)


def of_steps(steps, **values):
    return dataclasses.replace(AKOPYAN, max_steps=steps, **values)


BERT = Training(
    base_learning_rate=1e-4,
    learning_rate_decay=0.9,
    num_epochs=1000,
    max_steps=200_000,
)


TRAINING = {
    "akopyan2017-bof-4096": of_steps(
        60_000,
        batch_size=512,
        base_learning_rate=1e-4,
        learning_rate_decay_examples=2e7,
    ),
    "akopyan2017-lstm-residual": of_steps(200_000),
    "akopyan2017-lstm-2048": of_steps(100_000),
    "akopyan2017-lstm-l3-2048": of_steps(80_000),
    "akopyan2017-lstm-2048-bal": of_steps(80_000),
    "akopyan2017-lstm-l3-2048-bal": of_steps(80_000, batch_size=128, max_frames=120),
    "akopyan2017-lstm-moe-512": of_steps(50_000, batch_size=128),
    "akopyan2017-lstm-moe-512-bal": of_steps(50_000, batch_size=128),
    "tang2017-moe": VIDEO,
    "tang2017-dbof": TANG,
    "tang2017-lstm": TANG,
    "tang2017-lstm-moe-4": TANG,
    "tang2017-bilstm": TANG,
    "tang2017-single-att": TANG,
    "tang2017-split-att": TANG,
    "tang2017-multi-att": TANG,
    "tang2017-multi-att-code": TANG,
    "tang2017-max-pool-3": TANG,
    "tang2017-max-pool-5": TANG,
    "tang2017-random-1": TANG,
    "tang2017-random-4": TANG,
    "tang2017-hierarchical": TANG,
    "tang2017-first-stage": with_batch(64, 8),
    "tang2017-first-stage-dropout": with_batch(64, 8),
    "tang2017-hmoe": SECOND_STAGE,
    "tang2017-cc": SECOND_STAGE,
    # The list of models in section 3.
    "tang2017-ensemble-01": with_batch(64, 8),
    "tang2017-ensemble-02": with_batch(128, 4),
    "tang2017-ensemble-03": with_batch(128, 2),
    "tang2017-ensemble-04": with_batch(128, 2),
    "tang2017-ensemble-05": with_batch(128, 1),
    "tang2017-ensemble-06": with_batch(64, 2),
    "tang2017-ensemble-07": SECOND_STAGE,
    "tang2017-ensemble-08": SECOND_STAGE,
    "tang2017-ensemble-09": with_batch(128, 4),
    "tang2017-ensemble-10": with_batch(128, 4),
    "tang2017-ensemble-11": with_batch(128, 4, **SLOWLY),
    "tang2017-ensemble-12": with_batch(128, 4),
    "tang2017-ensemble-13": with_batch(128, 4, **SLOWLY),
    "tang2017-ensemble-14": with_batch(128, 4),
    "tang2017-ensemble-15": with_batch(128, 4),
    "tang2017-ensemble-16": with_batch(128, 1, **SLOWLY),
    "tang2017-ensemble-17": SECOND_STAGE,
    "tang2017-ensemble-18": SECOND_STAGE,
    "bert2019-mean": BERT,
    "bert2019-last": BERT,
    "bert2019-cross-mean": BERT,
    "bert2019-cross-attention": BERT,
    "samaritan2018-resnet": Training(
        batch_size=4096,
        base_learning_rate=0.005,
        learning_rate_decay=0.5,
        num_epochs=40,
        max_steps=40_000,
    ),
    "tang2018-nonlocal": Training(
        batch_size=80,
        base_learning_rate=2e-4,
        learning_rate_decay=0.8,
        num_epochs=20,
        max_steps=700_000,
    ),
    "wang2017-video-chain": Training(batch_size=512, base_learning_rate=0.004),
    "wang2017-cnn-chain": Training(),
    "wang2017-lstm-cnn-chain": Training(batch_size=96),
    "wang2017-lstm-chain": Training(base_learning_rate=0.0008),
    "wang2017-attention8max": Training(num_epochs=6),
    "wang2017-multiscale": Training(),
    "zhao2019-lr": dataclasses.replace(ZHAO, batch_size=1024, num_gpu=1),
    "zhao2019-lstm": ZHAO,
    "zhao2019-bilstm": dataclasses.replace(ZHAO, num_gpu=4),
    "zhao2019-attention": ZHAO,
    "zhao2019-bigru-concat": ZHAO,
    "zhao2019-bigru-shared": ZHAO,
    "zhao2019-bigru-projection": ZHAO,
    "zou2017-baseline": Training(batch_size=1024, base_learning_rate=0.01),
    "zou2017-prototype-visual": ZOU,
    "zou2017-prototype": ZOU,
    "zou2017-prototype-crop": CROPPED,
    "zou2017-bilstm-lr-ln": CROPPED,
    "zou2017-bilstm-lr-ln-script": Training(
        base_learning_rate=0.00085, num_epochs=6, **SCRIPT
    ),
    "zou2017-bilstm-moe": CROPPED,
    "zou2017-bilstm-moe-att": CROPPED,
    "zou2017-bilstm-moe-full": ZOU,
    "zou2017-lstm-lr-ln": CROPPED,
    "zou2017-late-fusion": CROPPED,
    "zou2017-late-fusion-script": Training(base_learning_rate=0.0008, **SCRIPT),
    "zou2017-25-tasks": Training(
        batch_size=45,
        num_gpu=4,
        base_learning_rate=0.0009,
        learning_rate_decay_examples=7e6,
        clip_gradient_norm=10.0,
    ),
}

SOURCES = (*("akopyan", "bert", "na2", "samaritan", "tang", "wang", "zhao", "zou"),)
MODELS = {
    name: preset
    for name, preset in PRESETS.items()
    if not preset.members and name.startswith(SOURCES)
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_train_as_their_source_says(name):
    expected = NA if name.startswith("na2017-") else TRAINING[name]
    flags = MODELS[name].flags
    found = {
        field.name: flags.get(field.name) for field in dataclasses.fields(expected)
    }
    assert found == dataclasses.asdict(expected)


# (model, classifier, experts per class), or what stands in their place.
IC, MAX_POOL, SPLIT = (
    "IndirectClustering",
    "MaxPoolBiLSTMAttention",
    "SplitBiLSTMAttention",
)
CHAIN = "DeepCombineChainModel"
PARTS = {
    "akopyan2017-bof-4096": ("BagOfFrames", "LogisticModel", None),
    "akopyan2017-lstm-residual": ("WeightedLSTM", "LogisticModel", None),
    "akopyan2017-lstm-2048": ("WeightedLSTM", "LogisticModel", None),
    "akopyan2017-lstm-l3-2048": ("WeightedLSTM", "LogisticModel", None),
    "akopyan2017-lstm-2048-bal": ("WeightedLSTM", "LogisticModel", None),
    "akopyan2017-lstm-l3-2048-bal": ("WeightedLSTM", "LogisticModel", None),
    "akopyan2017-lstm-moe-512": ("LSTMMoE", "LogisticModel", None),
    "akopyan2017-lstm-moe-512-bal": ("LSTMMoE", "LogisticModel", None),
    "na2017-lstm": ("LSTMMemory", "MoeModel", 2),
    "na2017-lstm-m": ("LSTMMemory", "MoeModel", 2),
    "na2017-lstm-m-o": ("LSTMMemory", "MoeModel", 2),
    "na2017-lstm-m-o-ln": ("LSTMMemory", "MoeModel", 2),
    "na2017-lstm-m-o-huber": ("LSTMMemory", "MoeModel", 2),
    "na2017-cnn-64": ("TemporalCNN", "MoeModel", 2),
    "na2017-cnn-256": ("TemporalCNN", "MoeModel", 2),
    "na2017-position-encoding": ("PositionEncoding", "MoeModel", 2),
    "na2017-indirect-clustering": (IC, "MoeModel", 2),
    "na2017-adaptive-noise": ("AdaptiveNoise", "MoeModel", 2),
    "na2017-many-to-many": ("ManyToManyLSTM", "LogisticModel", None),
    "na2017-2l-moe-2": (IC, "MultiLayerMoeModel", 2),
    "na2017-2l-moe-16": (IC, "MultiLayerMoeModel", 16),
    "na2017-mlp-4096": (IC, "MlpModel", None),
    "na2017-mlp-4096-ln": (IC, "MlpModel", None),
    **{
        f"na2017-{row}": (IC, "MoeModel", 16)
        for row in (
            *("labels-fixed-0.3", "labels-fixed-0.1", "labels-fixed-0.01"),
            *("labels-trained-0.1", "labels-trained-0.01", "labels-both-0.01"),
            *("cross-entropy", "center"),
            *("huber-0.5", "huber-1.0", "huber-2.0", "huber-3.0"),
        )
    },
    "tang2017-moe": ("MoeModel", None, 8),
    "tang2017-dbof": ("DbofModel", "MoeModel", 8),
    "tang2017-lstm": ("LSTMMemory", "MoeModel", 8),
    "tang2017-lstm-moe-4": ("LSTMMemory", "MoeModel", 4),
    "tang2017-bilstm": ("BiLSTM", "MoeModel", 4),
    "tang2017-single-att": ("BiLSTMAttention", "MoeModel", 4),
    "tang2017-split-att": (SPLIT, "MoeModel", 4),
    "tang2017-multi-att": ("MultiAttentionBiLSTM", "PerVerticalMoeModel", 4),
    "tang2017-multi-att-code": ("MultiAttentionBiLSTM", "PerVerticalModel", None),
    "tang2017-max-pool-3": (MAX_POOL, "MoeModel", 4),
    "tang2017-max-pool-5": (MAX_POOL, "MoeModel", 4),
    "tang2017-random-1": ("RandomBiLSTMAttention", "MoeModel", 4),
    "tang2017-random-4": ("RandomBiLSTMAttention", "MoeModel", 4),
    "tang2017-hierarchical": ("HierarchicalBiLSTMAttention", "MoeModel", 4),
    "tang2017-first-stage": (MAX_POOL, "MoeModel", 4),
    "tang2017-first-stage-dropout": (MAX_POOL, "MoeModel", 4),
    "tang2017-hmoe": ("HierarchicalMoeModel", None, None),
    "tang2017-cc": ("ClassifierChainModel", None, 8),
    "tang2017-ensemble-01": (MAX_POOL, "MoeModel", 4),
    "tang2017-ensemble-02": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-03": (SPLIT, "MoeModel", 16),
    "tang2017-ensemble-04": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-05": (SPLIT, "MoeModel", 16),
    "tang2017-ensemble-06": (SPLIT, "MoeModel", 16),
    "tang2017-ensemble-07": ("HierarchicalMoeModel", None, None),
    "tang2017-ensemble-08": ("HierarchicalMoeModel", None, None),
    "tang2017-ensemble-09": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-10": (MAX_POOL, "MoeModel", 16),
    "tang2017-ensemble-11": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-12": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-13": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-14": (MAX_POOL, "MoeModel", 8),
    "tang2017-ensemble-15": (SPLIT, "MoeModel", 16),
    "tang2017-ensemble-16": (SPLIT, "MoeModel", 16),
    "tang2017-ensemble-17": ("ClassifierChainModel", None, 8),
    "tang2017-ensemble-18": ("HierarchicalMoeModel", None, None),
    "bert2019-mean": ("BertEncoder", "GatedMoeModel", 2),
    "bert2019-last": ("BertEncoder", "GatedMoeModel", 2),
    "bert2019-cross-mean": ("BertCrossEncoder", "GatedMoeModel", 2),
    "bert2019-cross-attention": ("BertCrossEncoder", "GatedMoeModel", 2),
    "samaritan2018-resnet": ("ResNetLike", None, None),
    "tang2018-nonlocal": ("NonLocalNetVLAD", "GatedMoeModel", 8),
    "wang2017-video-chain": ("DeepCombineChainModel", None, 2),
    "wang2017-cnn-chain": ("CNNDeepCombineChain", CHAIN, 4),
    "wang2017-lstm-cnn-chain": ("LSTMCNNDeepCombineChain", CHAIN, 4),
    "wang2017-lstm-chain": ("LSTMMemoryDeepChain", CHAIN, 4),
    "wang2017-attention8max": ("LSTMAttentionMaxPooling", "MoeModel", 8),
    "wang2017-multiscale": ("MultiscaleCNNLSTM", "MultiscaleMoeModel", 4),
    "zhao2019-lr": ("LogisticModel", None, None),
    "zhao2019-lstm": ("LstmModel", "MoeModel", 2),
    "zhao2019-bilstm": ("StackedBiLSTM", "MoeModel", 2),
    "zhao2019-attention": ("BiGRUAttention", "LogisticModel", None),
    "zhao2019-bigru-concat": ("StackedBiGRU", "LogisticModel", None),
    "zhao2019-bigru-shared": ("StackedBiGRU", "LogisticModel", None),
    "zhao2019-bigru-projection": ("StackedBiGRU", "LogisticModel", None),
    "zou2017-baseline": ("LogisticModel", None, None),
    "zou2017-prototype-visual": ("LstmModel", "MoeModel", 2),
    "zou2017-prototype": ("LstmModel", "MoeModel", 2),
    "zou2017-prototype-crop": ("LstmModel", "MoeModel", 2),
    "zou2017-bilstm-lr-ln": ("StackedBiLSTMLN", "LogisticModel", None),
    "zou2017-bilstm-lr-ln-script": ("StackedBiLSTMLN", "LogisticModel", None),
    "zou2017-bilstm-moe": ("StackedBiLSTMLN", "MoeModel", 2),
    "zou2017-bilstm-moe-att": ("SegmentAttentionBiLSTM", "MoeModel", 2),
    "zou2017-bilstm-moe-full": ("StackedBiLSTMLN", "MoeModel", 2),
    "zou2017-lstm-lr-ln": ("LstmModel", "LogisticModel", None),
    "zou2017-late-fusion": ("LateFusionLSTM", "LogisticModel", None),
    "zou2017-late-fusion-script": ("LateFusionLSTM", "LogisticModel", None),
    "zou2017-25-tasks": ("PerVerticalBiLSTM", "PerVerticalModel", None),
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_have_the_parts_of_their_source(name):
    names = ("model", "video_level_classifier_model", "moe_num_mixtures")
    flags = MODELS[name].flags
    assert tuple(flags.get(flag) for flag in names) == PARTS[name]
    video = PARTS[name][1] is None
    assert flags.get("frame_features", False) is not video


# Other literals that a source states.
SIZES = {
    "akopyan2017-bof-4096": {"hidden_size": 4096, "dropout_rate": 0.3},
    "akopyan2017-lstm-residual": {"lstm_cells": 1024, "lstm_layers": 2},
    "akopyan2017-lstm-2048": {"lstm_cells": 2048, "lstm_layers": 2},
    "akopyan2017-lstm-l3-2048": {"lstm_cells": 2048, "lstm_layers": 3},
    "akopyan2017-lstm-2048-bal": {"lstm_cells": 2048, "lstm_layers": 2},
    "akopyan2017-lstm-l3-2048-bal": {"lstm_cells": 2048, "lstm_layers": 3},
    "akopyan2017-lstm-moe-512": {
        "lstm_cells": 512,
        "num_experts": 64,
        "active_experts": 4,
        "expert_size": 1024,
    },
    "na2017-lstm-m-o-ln": {"dropout_rate": 0.2, "lstm_cells": 1152, "lstm_layers": 1},
    "na2017-cnn-64": {"num_channels": 64, "kernel_height": 5},
    "na2017-cnn-256": {"num_channels": 256, "kernel_height": 5},
    "na2017-2l-moe-16": {"moe_hidden_size": 2048},
    "na2017-mlp-4096": {"mlp_layers": 3, "mlp_size": 4096, "mlp_layer_norm": False},
    "na2017-mlp-4096-ln": {"mlp_layers": 3, "mlp_size": 4096, "mlp_layer_norm": True},
    "na2017-center": {"center_loss_weight": 0.001, "center_rate": 0.05},
    "na2017-lstm-m-o-huber": {"huber_delta": 0.5, "label_loss": "PseudoHuberLoss"},
    "tang2017-dbof": {
        "dbof_cluster_size": 8192,
        "dbof_hidden_size": 1024,
        "iterations": 30,
    },
    "tang2017-lstm": {"lstm_cells": 1024, "lstm_layers": 1, "lstm_memory": "none"},
    "tang2017-bilstm": {"lstm_cells": 1024, "lstm_layers": 1},
    "tang2017-max-pool-3": {"pool_size": 3},
    "tang2017-max-pool-5": {"pool_size": 5},
    "tang2017-random-1": {"lstm_layers": 1},
    "tang2017-random-4": {"lstm_layers": 4},
    "tang2017-hierarchical": {"lstm_cells": 1152},
    "tang2017-hmoe": {"coarse_num_mixtures": 4, "label_num_mixtures": 4},
    "tang2017-cc": {
        "chain_groups": 12,
        "feature_bottleneck": 512,
        "distribution_bottleneck": 1024,
        "chain_dropout": 0.5,
    },
    **{
        f"tang2017-ensemble-{number:02d}": {"pool_size": size, "lstm_cells": 1152}
        for size, numbers in ((3, (1, 2, 10, 11, 12, 13, 14)), (5, (4, 9)))
        for number in numbers
    },
    "bert2019-mean": {
        "bert_hidden_layer": 2,
        "bert_attention_heads": 12,
        "iterations": 5,
        "moe_l2": 1e-6,
        "pooling_strategy": "mean",
    },
    "bert2019-cross-attention": {"bert_attention_heads": 8},
    "samaritan2018-resnet": {
        "inner_size": 2048,
        "av_id_block_num": 4,
        "concat_id_block_num": 4,
        "block_dropout": 0.4,
    },
    "tang2018-nonlocal": {
        "netvlad_cluster_size": 64,
        "netvlad_hidden_size": 1024,
        "nonlocal_scale": 1 / 64,
        "moe_prob_gating": True,
        "moe_l2": 1e-6,
        "iterations": 300,
    },
    "wang2017-video-chain": {
        "deep_chain_layers": 8,
        "deep_chain_relu_cells": 128,
        "support_loss_percent": 0.025,
        "label_loss": "MultiTaskCrossEntropyLoss",
    },
    "wang2017-cnn-chain": {
        "deep_chain_layers": 4,
        "deep_chain_relu_cells": 128,
        "support_loss_percent": 0.05,
    },
    "wang2017-lstm-cnn-chain": {
        "deep_chain_layers": 3,
        "deep_chain_relu_cells": 128,
        "visual_lstm_cells": 1024,
        "audio_lstm_cells": 128,
        "lstm_layers": 1,
        "support_loss_percent": 0.05,
    },
    "wang2017-lstm-chain": {
        "deep_chain_layers": 1,
        "deep_chain_relu_cells": 200,
        "lstm_cells": 1024,
        "lstm_layers": 2,
        "support_loss_percent": 0.2,
    },
    "wang2017-attention8max": {
        "lstm_cells": 1024,
        "lstm_layers": 2,
        "lstm_attentions": 8,
    },
    "wang2017-multiscale": {
        "multiscale_cnn_lstm_layers": 4,
        "multiscale_filters": 256,
        "support_loss_percent": 1.0,
    },
    "zhao2019-lstm": {"lstm_cells": 1024, "lstm_layers": 2},
    "zhao2019-bilstm": {"lstm_cells": 1024, "lstm_layers": 2},
    "zhao2019-attention": {"gru_cells": 1024, "embedding_size": 1024},
    "zhao2019-bigru-concat": {"gru_layers": 2, "modality_fusion": "concat"},
    "zhao2019-bigru-shared": {"gru_layers": 2, "modality_fusion": "shared"},
    "zhao2019-bigru-projection": {"gru_layers": 2, "modality_fusion": "projection"},
    "zou2017-prototype": {"lstm_cells": 1024, "lstm_layers": 2},
    "zou2017-bilstm-lr-ln": {"lstm_cells": 1024, "top_lstm_cells": 768},
    "zou2017-bilstm-lr-ln-script": {"frame_sampling": "interval", "crop_stride": 5},
    "zou2017-bilstm-moe": {"lstm_cells": 1024, "top_lstm_cells": 1024},
    "zou2017-late-fusion-script": {
        "frame_sampling": "interval",
        "crop_stride": 6,
        "visual_lstm_cells": 512,
        "audio_lstm_cells": 150,
        "top_lstm_cells": 1200,
    },
    "zou2017-25-tasks": {
        "frame_sampling": "interval",
        "crop_stride": 12,
        "min_lstm_cells": 80,
        "cells_per_class": 0.7,
        "lstm_layers": 1,
    },
}


@pytest.mark.parametrize("name", SIZES)
def test_rows_have_the_sizes_of_their_source(name):
    flags = MODELS[name].flags
    assert {flag: flags.get(flag) for flag in SIZES[name]} == SIZES[name]


def test_rows_of_label_processing_and_losses_are_what_their_names_say():
    """Na et al.'s Tables 3 (alpha, beta, gamma) and 4 (delta)."""
    names = ("correlation_alpha", "correlation_beta", "correlation_gamma")
    rows = {
        "na2017-labels-fixed-0.3": (1, 0.3, 0),
        "na2017-labels-fixed-0.1": (1, 0.1, 0),
        "na2017-labels-trained-0.1": (1, 0, 0.1),
        "na2017-labels-fixed-0.01": (1, 0.01, 0),
        "na2017-labels-trained-0.01": (1, 0, 0.01),
        "na2017-labels-both-0.01": (1, 0.01, 0.01),
    }
    for row, expected in rows.items():
        flags = MODELS[row].flags
        assert tuple(flags[name] for name in names) == expected
        assert flags["label_processing"] == "LabelCorrelation"
    for delta in (0.5, 1.0, 2.0, 3.0):
        flags = MODELS[f"na2017-huber-{delta}"].flags
        assert (flags["label_loss"], flags["huber_delta"]) == ("PseudoHuberLoss", delta)


def test_balanced_rows_weigh_misses():
    rows = [name for name in MODELS if name.startswith("akopyan2017-")]
    assert any(name.endswith("-bal") for name in rows)
    for name in rows:
        loss = MODELS[name].flags.get("label_loss", "CrossEntropyLoss")
        assert (loss == "WeightedCrossEntropyLoss") is name.endswith("-bal")


def test_rows_that_train_on_the_validation_split_too():
    """All of Na et al.'s; Zou et al.'s but for the first four; two of Tang et al.'s."""
    for name, preset in MODELS.items():
        start = (
            *("bert2019-", "na2017-", "tang2018-"),
            *("tang2017-ensemble-14", "tang2017-ensemble-15"),
        )
        zou = name.startswith("zou2017-")
        zou &= not name.startswith(("zou2017-baseline", "zou2017-prototype"))
        assert preset.validation is (zou or name.startswith(start)), name


FIGURES = {
    "akopyan2017-bof-4096": "Hit@1 .78, GAP .66",
    "akopyan2017-lstm-residual": "Hit@1 .82, GAP .75",
    "akopyan2017-lstm-2048": "Hit@1 .85, GAP .77",
    "akopyan2017-lstm-l3-2048": "Hit@1 .87, GAP .79",
    "akopyan2017-lstm-2048-bal": "Hit@1 .71, GAP .59",
    "akopyan2017-lstm-l3-2048-bal": "Hit@1 .73, GAP .61",
    "akopyan2017-lstm-moe-512": "Hit@1 .80, GAP .76",
    "akopyan2017-lstm-moe-512-bal": "Hit@1 .57, GAP .32",
}
GAPS = {
    "na2017": (
        "lstm 0.811 lstm-m 0.815 lstm-m-o 0.820 lstm-m-o-ln 0.815 cnn-64 0.704 "
        "cnn-256 0.753 position-encoding 0.782 indirect-clustering 0.801 "
        "adaptive-noise 0.782 many-to-many 0.791 2l-moe-2 0.424 2l-moe-16 0.421 "
        "mlp-4096 0.802 mlp-4096-ln 0.809 labels-fixed-0.3 0.784 "
        "labels-fixed-0.1 0.787 labels-trained-0.1 0.788 labels-fixed-0.01 0.790 "
        "labels-trained-0.01 0.790 labels-both-0.01 0.788 cross-entropy 0.798 "
        "center 0.799 huber-0.5 0.803 huber-1.0 0.801 huber-2.0 0.798 "
        "huber-3.0 0.794 lstm-m-o-huber 0.820 ensemble 0.839"
    ),
    "tang2017": (
        "moe 0.7930 dbof 0.7948 lstm 0.8036 lstm-moe-4 0.80357 bilstm 0.80534 "
        "single-att 0.81308 split-att 0.81309 multi-att 0.81187 max-pool-3 0.82046 "
        "max-pool-5 0.81821 random-1 0.80954 random-4 0.81513 hierarchical 0.80934 "
        "hmoe 0.82416 cc 0.82301 ensemble-01 0.81613 ensemble-02 0.81768 "
        "ensemble-03 0.81827 ensemble-04 0.81619 ensemble-05 0.81909 "
        "ensemble-06 0.81703 ensemble-07 0.81811 ensemble-08 0.82416 "
        "ensemble-09 0.81748 ensemble-10 0.81704 ensemble-11 0.81704 "
        "ensemble-12 0.81865 ensemble-13 0.81996 ensemble-14 0.81878 "
        "ensemble-15 0.81885 ensemble-16 0.81796 ensemble-17 0.82301 "
        "ensemble-18 0.82416"
    ),
    "zhao2019": (
        "lr 0.70727 lstm 0.79903 bilstm 0.80597 attention 0.81415 "
        "bigru-concat 0.84022 bigru-shared 0.01106 bigru-projection 0.01684 "
        "ensemble 0.81891"
    ),
    "zou2017": (  # on the public leaderboard
        "baseline 0.74711 prototype-visual 0.78105 prototype 0.80224 "
        "prototype-crop 0.80204 bilstm-lr-ln 0.80761 bilstm-moe 0.81055 "
        "bilstm-moe-att 0.81232 bilstm-moe-full 0.81401 ensemble-16 0.83477 "
        "ensemble-36 0.83670"
    ),
}


def test_figures_are_the_reported_ones():
    for name, figure in FIGURES.items():
        assert PRESETS[name].figure == figure
    for paper, rows in GAPS.items():
        words = rows.split()
        for row, gap in zip(words[::2], words[1::2], strict=True):
            assert PRESETS[f"{paper}-{row}"].figure.split(" public")[0] == f"GAP {gap}"


def test_ensembles_have_the_members_of_their_source():
    tang = [f"tang2017-ensemble-{number:02d}" for number in range(1, 19)]
    assert [*PRESETS["tang2017-ensemble"].members] == tang
    zhao = PRESETS["zhao2019-ensemble"]
    assert list(zhao.members) == ["zhao2019-lr", "zhao2019-lstm"]
    assert zhao.merge == {"gaps": "0.70727,0.79903"}
    assert list(PRESETS["zou2017-ensemble-16"].starts) == [0, 1, 2, 3, 4]
