"""A small example of every registered model, and batches for it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import hyperparameters

NUM_CLASSES = 7
FRAMES = DataConfig(
    ("rgb", "audio"), (12, 4), True, num_classes=NUM_CLASSES, max_frames=30
)
VIDEO = DataConfig(("mean_rgb",), (16,), num_classes=NUM_CLASSES)
VERTICALS = (0, 1, 2, 0, 1, 2, 0)
COUNTS = (500, 400, 300, 90, 50, 20, 10)
# Sizes for tests, by constructor argument; used where a class takes them.
SMALL = {
    "chain_groups": 3,
    "feature_bottleneck": 5,
    "distribution_bottleneck": 4,
    "moe_hidden_size": 5,
    "mlp_size": 8,
    "lstm_cells": 6,
    "gru_cells": 6,
    "visual_lstm_cells": 6,
    "audio_lstm_cells": 3,
    "top_lstm_cells": 5,
    "min_lstm_cells": 4,
    "iterations": 5,
    "dbof_cluster_size": 16,
    "netvlad_cluster_size": 4,
    "netvlad_hidden_size": 9,
    "fv_cluster_size": 4,
    "fv_hidden_size": 9,
    "nextvlad_cluster_size": 4,
    "nextvlad_hidden_size": 8,
    "gating_reduction": 2,
    "mix_number": 2,
    "outer_mix_number": 2,
    "transformer_size": 8,
    "transformer_layers": 2,
    "attention_heads": 2,
    "frame_mlp_size": 8,
    "frame_mlp_layers": 2,
    "residual_mlp_size": 8,
    "dbof_hidden_size": 9,
    "num_channels": 8,
    "hidden_size": 8,
    "num_experts": 4,
    "active_experts": 2,
    "expert_size": 7,
    "fusion_size": 5,
    "embedding_size": 5,
    "attention_size": 5,
    "deep_chain_layers": 2,
    "deep_chain_relu_cells": 5,
    "lstm_attentions": 3,
    "multiscale_cnn_lstm_layers": 3,
    "multiscale_filters": 3,
    "bert_attention_heads": 4,
    "bert_intermediate_size": 8,
    "inner_size": 9,
    "av_id_block_num": 1,
    "concat_id_block_num": 1,
    "block_dropout": 0.1,
}
# Encoders of several levels or parts, which are slow to build or trace, and those that
# differ little from another: LstmModel, BiLSTMAttention, BiGRUAttention, LSTMMoE,
# NeXtVLAD, NetVLAD and DbofModel stand for them in a quick run.
COSTLY = {
    "BertCrossEncoder",
    "BiLSTM",
    "GRUState",
    "GatedDBoF",
    "GatedVLAD",
    "HierarchicalBiLSTMAttention",
    "LSTMAttentionMaxPooling",
    "LSTMCNNDeepCombineChain",
    "LSTMMemory",
    "LSTMMemoryDeepChain",
    "LSTMState",
    "LateFusionDBoF",
    "LateFusionLSTM",
    "ManyToManyLSTM",
    "MaxPoolBiLSTMAttention",
    "MixNeXtVLAD",
    "MultiAttentionBiLSTM",
    "MultiscaleCNNLSTM",
    "NetFV",
    "NetRVLAD",
    "NonLocalEarlyNetVLAD",
    "NonLocalNetRVLAD",
    "OuterMixNeXtVLAD",
    "PerVerticalBiLSTM",
    "RandomBiLSTMAttention",
    "SegmentAttentionBiLSTM",
    "SoftDBoF",
    "SplitBiLSTMAttention",
    "StackedBiGRU",
    "StackedBiLSTM",
    "StackedBiLSTMLN",
    "WeightedLSTM",
}
# Every way of building a model that deserves the whole matrix.
SUPERVISED = [name for name in ENCODERS if ENCODERS.get(name).supervised]
RELEASED = [
    n for n in SUPERVISED if "released_code" in hyperparameters(ENCODERS.get(n))
]
FRAME_CASES = [
    *((name, "MoeModel", {}) for name in SUPERVISED),
    *((name, "MoeModel", {"released_code": True}) for name in RELEASED),
    ("LstmModel", "LogisticModel", {"lstm_layers": 1}),
    ("LstmModel", "LogisticModel", {"layer_norm": True}),
    ("DbofModel", "MoeModel", {"dbof_add_batch_norm": False}),
    ("DbofModel", "MoeModel", {"dbof_pooling_method": "average"}),
    ("DbofModel", "MoeModel", {"sample_random_frames": False}),
    ("BiLSTM", "MoeModel", {"lstm_layers": 2}),
    ("MaxPoolBiLSTMAttention", "LogisticModel", {"pool_size": 5}),
    ("MultiAttentionBiLSTM", "", {"attention_score": "diagonal-bilinear"}),
    (
        "MultiAttentionBiLSTM",
        "PerVerticalModel",
        {"vertical_bias": False, "pool_size": 3, "attention_score": "tanh-dense"},
    ),
    ("RandomBiLSTMAttention", "MoeModel", {"lstm_layers": 2}),
    ("LSTMMemory", "MoeModel", {"lstm_memory": "none", "lstm_layers": 2}),
    ("LSTMMemory", "MoeModel", {"layer_norm": True, "released_code": True}),
    ("LSTMMemory", "MoeModel", {"layer_norm": True, "lstm_layers": 2}),
    ("LateFusionLSTM", "MoeModel", {"layer_norm": True}),
    (
        "PositionEncoding",
        "MoeModel",
        {"released_code": True, "integer_division": False},
    ),
    (
        "IndirectClustering",
        "MoeModel",
        {"clustering_projection": True, "clustering_post": "layer_norm_relu"},
    ),
    ("IndirectClustering", "MoeModel", {"clustering_post": "l2"}),
    ("StackedBiLSTMLN", "MoeModel", {"layer_norm": False}),
    ("StackedBiLSTMLN", "MoeModel", {"layer_norm": False, "released_code": True}),
    ("PerVerticalBiLSTM", "", {"lstm_layers": 2}),
    ("WeightedLSTM", "LogisticModel", {"residual": True, "lstm_layers": 3}),
    (
        "WeightedLSTM",
        "LogisticModel",
        {"residual": True, "residual_projection": True},
    ),
    ("StackedBiLSTM", "MoeModel", {"interleaved": True}),
    ("StackedBiGRU", "MoeModel", {"modality_fusion": "shared"}),
    ("StackedBiGRU", "MoeModel", {"modality_fusion": "projection"}),
    ("NetVLAD", "GatedMoeModel", {"netvlad_relu": True, "moe_prob_gating": True}),
    ("NetVLAD", "MoeModel", {"gating_remove_diag": True, "released_code": True}),
    ("NetFV", "MoeModel", {"fv_couple_weights": True, "gating": False}),
    ("GatedDBoF", "MoeModel", {"softdbof_maxpool": True}),
    ("SoftDBoF", "MoeModel", {"fc_dimred": False}),
    ("NeXtVLAD", "MoeLogitModel", {}),
    ("NeXtVLAD", "PenalizedLogisticModel", {"groups": 2, "expansion": 1}),
    ("MixNeXtVLAD", "MixMoeModel", {}),
    ("MaskedDBoF", "InputGatedMoeModel", {"dbof_pooling_method": "swap"}),
    (
        "MaskedDBoF",
        "LogisticModel",
        {
            "dbof_pooling_method": "max",
            "use_context_gate_cluster_layer": True,
            "context_gate_cluster_bottleneck_size": 3,
        },
    ),
    ("FrameMlp", "AttentiveLogisticModel", {}),
    ("LSTMState", "MoeModel", {"lstm_random_sequence": True}),
    ("GRUState", "MoeModel", {"gru_random_sequence": True, "gru_backward": True}),
    ("LSTMAttentionMaxPooling", "MoeModel", {"positional_embedding_size": 3}),
    ("LSTMAttentionMaxPooling", "DeepCombineChainModel", {}),
    ("LSTMMemoryDeepChain", "", {"deep_chain_latest": True}),
    ("BertEncoder", "ResNetLike", {"pooling_strategy": "attention"}),
    ("BertEncoder", "MoeModel", {"pooling_strategy": "last"}),
    ("BertEncoder", "MoeModel", {"bert_positions": "learned"}),
    ("BertEncoder", "MoeModel", {"bert_positions": "sines"}),
    ("BertCrossEncoder", "LogisticModel", {"pooling_strategy": "attention"}),
]
CASES = [
    *FRAME_CASES,
    *((name, name, {}) for name in CLASSIFIERS),
    ("HierarchicalMoeModel", "HierarchicalMoeModel", {"released_code": True}),
    ("MoeModel", "MoeModel", {"moe_gate_bias": True, "moe_dummy_expert": False}),
    ("MultiLayerMoeModel", "MultiLayerMoeModel", {"released_code": True}),
    ("MlpModel", "MlpModel", {"mlp_layer_norm": False, "mlp_activation": "relu6"}),
    ("InputGatedMoeModel", "InputGatedMoeModel", {"use_input_context_gate": False}),
    (
        "GatedMoeModel",
        "GatedMoeModel",
        {"moe_low_rank_gating": 3, "moe_prob_gating": True, "gating_remove_diag": True},
    ),
    (
        "GatedMoeModel",
        "GatedMoeModel",
        {"moe_prob_gating": True, "moe_prob_gating_input": "input"},
    ),
    (
        "DeepCombineChainModel",
        "DeepCombineChainModel",
        {"deep_chain_latest": True, "deep_chain_relu_type": "elu"},
    ),
]


def run_config(case):
    name, classifier, values = case
    data = VIDEO if name in CLASSIFIERS else FRAMES
    taken = set()
    for cls in filter(None, models.parts(ModelConfig(name, classifier))):
        taken |= hyperparameters(cls).keys()
    small = {key: value for key, value in SMALL.items() if key in taken}
    facts = {"verticals": VERTICALS, "class_counts": COUNTS}
    config = ModelConfig(name, classifier, hyperparameters=small | values, **facts)
    return RunConfig(data, config)


def random_batch(data, lengths=(9, 4, 1), seed=0):
    rng = np.random.default_rng(seed)
    if not data.frame_features:
        return {"features": rng.normal(size=(3, 16)).astype(np.float32)}
    frames = rng.integers(0, 256, (len(lengths), max(lengths), 16), dtype=np.uint8)
    for row, length in zip(frames, lengths, strict=True):
        row[length:] = 0
    return {"frames": frames, "num_frames": np.array(lengths, np.int32)}


class Built:
    """The model of a case and batches for it, which all tests leave as they are.

    Attributes:
      batch: of three videos of up to 9 frames.
      predictions: of the batch, computed op by op, [3, C].
      short: a batch of up to 3 frames, for what costs time with each frame.
      of_short: its predictions.
    """

    def __init__(self, case):
        keras.utils.set_random_seed(1)
        self.run = run_config(case)
        self.model = models.create(self.run)
        self.batch = random_batch(self.run.data)
        self.predictions = predict(self.model, self.batch)
        self.short = random_batch(self.run.data, lengths=(3, 2, 1))

    @functools.cached_property
    def of_short(self):
        return predict(self.model, self.short)

    def predict(self, batch):
        """Predictions of any batch by one graph, which is much faster."""
        return self._graph(batch).numpy()

    @functools.cached_property
    def _graph(self):
        specs = {
            # [B, T, D], [B, D] or [B]: only the number of features is known.
            name: tf.TensorSpec(
                [*[None] * max(1, x.ndim - 1), *x.shape[1:][-1:]], x.dtype
            )
            for name, x in self.batch.items()
        }
        call = lambda batch: self.model(batch)["predictions"]  # noqa: E731
        return tf.function(call, input_signature=[specs], autograph=False)


_BUILT = {}


def build(case):
    """The model of a case, built once for all tests."""
    key = str(case)
    if key not in _BUILT:
        _BUILT[key] = Built(case)
    return _BUILT[key]


def parameters(cases, slow=frozenset()):
    """Every model but the `slow` ones in a quick run, variants too in a slow one."""
    for name, classifier, values in cases:
        label = "-".join((name, classifier, *values))
        marks = [pytest.mark.slow] if values or name in slow else []
        yield pytest.param((name, classifier, values), id=label, marks=marks)


def predict(model, batch):
    return keras.ops.convert_to_numpy(model(batch)["predictions"])
