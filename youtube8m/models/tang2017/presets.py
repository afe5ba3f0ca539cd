"""The rows that Tang et al. 2017 report."""

from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES, ON_VIDEOS

PAPER = Paper(
    name="Tang et al. 2017",
    title="Hierarchical Deep Recurrent Architecture for Video Understanding",
    url="https://arxiv.org/abs/1707.03296",
    read="Tables 1 to 4, and the list of models in section 3",
    code="https://github.com/Tsingularity/youtube-8m",
)

FRAMES = {**ON_FRAMES, "base_learning_rate": 0.001}
# The second stage: on the descriptors of the first.
DESCRIPTORS = {
    **ON_VIDEOS,
    "feature_names": "descriptor",
    "feature_sizes": "1152",
    "base_learning_rate": 0.001,
    "num_epochs": 8,
}

BATCH_SIZE = (
    "Unclear in the paper: the batch size. We use: the starter code's, 128 on frames "
    "and 1024 on videos."
)
SECOND_STAGE = [
    "Unclear in the paper: the batch size of the second stage. We use: 1024, the "
    "starter code's on videos.",
    "Unclear in the paper: the epochs of the second stage. We use: 8, the released "
    "code's default.",
]
LSTM_EXPERTS = (
    "Unclear in the paper: whether the LSTM has 8 experts, as in Table 1, or 4, as in "
    "Table 2; both print the same figure. We use: 8 in tang2017-lstm and 4 in "
    "tang2017-lstm-moe-4."
)
DBOF = (
    "Unclear in the paper: the settings of DBoF, its activation among them. We use: "
    "those of the starter code of 2017, with relu6."
)
DROPOUT = (
    "Unclear in the paper: whether the models of Tables 2 and 3 drop; section 2 "
    "introduces dropout for the models that follow, without a rate, and the list of "
    "models marks some as with dropout. We use: no dropout here, and the released "
    "code's 0.5 where the list says so."
)
CELL = (
    "Unclear in the paper: whether the cells are GRUs or LSTMs; the equations are a "
    "GRU's, the models' names and the released code say LSTM. We use: LSTMs."
)
SPLIT_CELLS = (
    "Unclear in the paper: the cells of each modality; the list of models has 1152 for "
    "all. We use: 1024 for the images and 128 for the sound, which are 1152 together."
)
TABLE_2_CELLS = (
    "Unclear in the paper: the number of cells in Table 2. We use: 1024, as in the "
    "paper's LSTM."
)
TABLE_3_CELLS = (
    "Unclear in the paper: the number of cells in Table 3. We use: 1152, as in the "
    "paper's final models."
)
RANDOM = (
    "Unclear in the paper: which frames are taken at test time; the released code "
    "draws them at random there too. We use: the middle frame of each window."
)
HMOE_VALUES = (
    "Unclear in the paper: which values of the coarse classifier the fine one gets; "
    "they are those before a softmax, which a mixture of experts does not end in, and "
    "the released code has the probabilities. We use: the logits of the probabilities; "
    "--coarse_values=probabilities is the code's."
)
HMOE_EXPERTS = (
    "Unclear in the paper: the number of HMoE's experts; the list of models says 4, "
    "which may be the first stage's, and the released code has 8. We use: 4."
)
CHAIN = (
    "Unclear in the paper: which of the released code's chains was trained, and with "
    "how many experts; the code has 8, the list of models says 4. We use: CCMoeModel "
    "with 8."
)
CHECKPOINT = (
    "Unclear in the paper: which stage's checkpoint the list of models numbers (46441 "
    "for model 8, 53725 for model 18). We use: the last checkpoint of both stages."
)

PRESETS = [
    Preset(
        "tang2017-moe",
        row="Table 1, MoE",
        figure="GAP 0.7930",
        flags={
            **ON_VIDEOS,
            "model": "MoeModel",
            "moe_num_mixtures": 8,
            "base_learning_rate": 0.001,
        },
        open_questions=[BATCH_SIZE],
    ),
    Preset(
        "tang2017-dbof",
        row="Table 1, DBoF",
        figure="GAP 0.7948",
        flags={
            **FRAMES,
            "model": "DbofModel",
            "dbof_activation": "relu6",
            "dbof_cluster_size": 8192,
            "dbof_hidden_size": 1024,
            "iterations": 30,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
        },
        open_questions=[BATCH_SIZE, DBOF],
    ),
    Preset(
        "tang2017-lstm",
        row="Table 1, LSTM",
        figure="GAP 0.8036",
        flags={
            **FRAMES,
            "model": "LSTMMemory",
            "lstm_cells": 1024,
            "lstm_layers": 1,
            "lstm_memory": "none",
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
        },
        open_questions=[BATCH_SIZE, LSTM_EXPERTS],
    ),
    Preset(
        "tang2017-lstm-moe-4",
        row="Table 2, LSTM",
        figure="GAP 0.80357",
        flags={
            **FRAMES,
            "model": "LSTMMemory",
            "lstm_cells": 1024,
            "lstm_layers": 1,
            "lstm_memory": "none",
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, LSTM_EXPERTS],
    ),
    Preset(
        "tang2017-bilstm",
        row="Table 2, BiLSTM",
        figure="GAP 0.80534",
        flags={
            **FRAMES,
            "model": "BiLSTM",
            "lstm_cells": 1024,
            "lstm_layers": 1,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, CELL],
    ),
    Preset(
        "tang2017-single-att",
        row="Table 2, Single-ATT+BiLSTM",
        figure="GAP 0.81308",
        flags={
            **FRAMES,
            "model": "BiLSTMAttention",
            "lstm_cells": 1024,
            "lstm_layers": 1,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, TABLE_2_CELLS, CELL],
    ),
    Preset(
        "tang2017-split-att",
        row="Table 2, Split+ATT",
        figure="GAP 0.81309",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[
            BATCH_SIZE,
            DROPOUT,
            SPLIT_CELLS,
            CELL,
            "Unclear in the paper: the number of experts; Table 2 says 4 for all "
            "rows, the list of models says 16 for this one. We use: 4 here, and 16 in "
            "the presets of the list.",
        ],
    ),
    Preset(
        "tang2017-multi-att",
        row="Table 2, Multi-ATT+BiLSTM",
        figure="GAP 0.81187",
        flags={
            **FRAMES,
            "model": "MultiAttentionBiLSTM",
            "lstm_cells": 1024,
            "attention_score": "diagonal-bilinear",
            "pool_size": 0,
            "video_level_classifier_model": "PerVerticalMoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[
            BATCH_SIZE,
            DROPOUT,
            TABLE_2_CELLS,
            CELL,
            "Unclear in the paper: whether its model gave the figure; the released "
            "code pools the frames first, scores them by another formula, and has "
            "logistic regressions in place of a mixture of experts. We use: the "
            "paper's; tang2017-multi-att-code is the code.",
        ],
    ),
    Preset(
        "tang2017-multi-att-code",
        row="Table 2, Multi-ATT+BiLSTM, as the authors' code",
        flags={
            **FRAMES,
            "model": "MultiAttentionBiLSTM",
            "lstm_cells": 1024,
            "attention_score": "tanh-dense",
            "pool_size": 3,
            "released_code": True,
            "video_level_classifier_model": "PerVerticalModel",
            "vertical_bias": False,
            "dropout_keep_prob": 0.5,
        },
        open_questions=[BATCH_SIZE, TABLE_2_CELLS],
    ),
    Preset(
        "tang2017-max-pool-3",
        row="Table 3, ATT+MaxPool+BiLSTM, window 3",
        figure="GAP 0.82046",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, TABLE_3_CELLS, CELL],
    ),
    Preset(
        "tang2017-max-pool-5",
        row="Table 3, ATT+MaxPool+BiLSTM, window 5",
        figure="GAP 0.81821",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 5,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, TABLE_3_CELLS, CELL],
    ),
    Preset(
        "tang2017-random-1",
        row="Table 3, ATT+Random+BiLSTM, layers: 1",
        figure="GAP 0.80954",
        flags={
            **FRAMES,
            "model": "RandomBiLSTMAttention",
            "lstm_cells": 1152,
            "lstm_layers": 1,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, TABLE_3_CELLS, CELL, RANDOM],
    ),
    Preset(
        "tang2017-random-4",
        row="Table 3, ATT+Random+BiLSTM, layers: 4",
        figure="GAP 0.81513",
        flags={
            **FRAMES,
            "model": "RandomBiLSTMAttention",
            "lstm_cells": 1152,
            "lstm_layers": 4,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, TABLE_3_CELLS, CELL, RANDOM],
    ),
    Preset(
        "tang2017-hierarchical",
        row="Table 3, ATT+Hierarchical+BiLSTM",
        figure="GAP 0.80934",
        flags={
            **FRAMES,
            "model": "HierarchicalBiLSTMAttention",
            "lstm_cells": 1152,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
        },
        open_questions=[BATCH_SIZE, DROPOUT, CELL],
    ),
    Preset(
        "tang2017-first-stage",
        row="section 3, first stage of 7",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
            "batch_size": 64,
            "num_gpu": 8,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-first-stage-dropout",
        row="section 3, first stage of 8, 17, 18",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 0.5,
            "batch_size": 64,
            "num_gpu": 8,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-hmoe",
        row="Table 4, MaxPool+HMoE",
        figure="GAP 0.82416",
        first_stage="tang2017-first-stage-dropout",
        flags={
            **DESCRIPTORS,
            "model": "HierarchicalMoeModel",
            "coarse_num_mixtures": 4,
            "label_num_mixtures": 4,
            "coarse_values": "logits",
        },
        open_questions=[*SECOND_STAGE, HMOE_VALUES, HMOE_EXPERTS],
    ),
    Preset(
        "tang2017-cc",
        row="Table 4, MaxPool+CC",
        figure="GAP 0.82301",
        first_stage="tang2017-first-stage-dropout",
        flags={
            **DESCRIPTORS,
            "model": "ClassifierChainModel",
            "chain_dropout": 0.5,
            "chain_groups": 12,
            "distribution_bottleneck": 1024,
            "feature_bottleneck": 512,
            "moe_num_mixtures": 8,
        },
        open_questions=[*SECOND_STAGE, CHAIN],
    ),
    Preset(
        "tang2017-ensemble-01",
        row="section 3, model 1",
        figure="GAP 0.81613",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 4,
            "dropout_keep_prob": 1.0,
            "batch_size": 64,
            "num_gpu": 8,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-02",
        row="section 3, model 2",
        figure="GAP 0.81768",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-03",
        row="section 3, model 3",
        figure="GAP 0.81827",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 2,
        },
        open_questions=[CELL, SPLIT_CELLS],
    ),
    Preset(
        "tang2017-ensemble-04",
        row="section 3, model 4",
        figure="GAP 0.81619",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 5,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 2,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-05",
        row="section 3, model 5",
        figure="GAP 0.81909",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 1,
        },
        open_questions=[CELL, SPLIT_CELLS],
    ),
    Preset(
        "tang2017-ensemble-06",
        row="section 3, model 6",
        figure="GAP 0.81703",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 1.0,
            "batch_size": 64,
            "num_gpu": 2,
        },
        open_questions=[CELL, SPLIT_CELLS],
    ),
    Preset(
        "tang2017-ensemble-07",
        row="section 3, model 7",
        figure="GAP 0.81811",
        first_stage="tang2017-first-stage",
        flags={
            **DESCRIPTORS,
            "model": "HierarchicalMoeModel",
            "coarse_num_mixtures": 4,
            "label_num_mixtures": 4,
            "coarse_values": "logits",
        },
        open_questions=[*SECOND_STAGE, HMOE_VALUES, HMOE_EXPERTS],
    ),
    Preset(
        "tang2017-ensemble-08",
        row="section 3, model 8",
        figure="GAP 0.82416",
        first_stage="tang2017-first-stage-dropout",
        flags={
            **DESCRIPTORS,
            "model": "HierarchicalMoeModel",
            "coarse_num_mixtures": 4,
            "label_num_mixtures": 4,
            "coarse_values": "logits",
        },
        open_questions=[*SECOND_STAGE, HMOE_VALUES, HMOE_EXPERTS, CHECKPOINT],
    ),
    Preset(
        "tang2017-ensemble-09",
        row="section 3, model 9",
        figure="GAP 0.81748",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 5,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-10",
        row="section 3, model 10",
        figure="GAP 0.81704",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-11",
        row="section 3, model 11",
        figure="GAP 0.81704",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 1.0,
            "learning_rate_decay": 0.5,
            "learning_rate_decay_examples": 2e7,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-12",
        row="section 3, model 12",
        figure="GAP 0.81865",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 0.5,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-13",
        row="section 3, model 13",
        figure="GAP 0.81996",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 0.5,
            "learning_rate_decay": 0.5,
            "learning_rate_decay_examples": 2e7,
            "batch_size": 128,
            "num_gpu": 4,
        },
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-14",
        row="section 3, model 14",
        figure="GAP 0.81878",
        flags={
            **FRAMES,
            "model": "MaxPoolBiLSTMAttention",
            "lstm_cells": 1152,
            "pool_size": 3,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 8,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 4,
        },
        validation=True,
        open_questions=[CELL],
    ),
    Preset(
        "tang2017-ensemble-15",
        row="section 3, model 15",
        figure="GAP 0.81885",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 1.0,
            "batch_size": 128,
            "num_gpu": 4,
        },
        validation=True,
        open_questions=[
            CELL,
            SPLIT_CELLS,
            "Unclear in the paper: what the window of 3, which the list of models has "
            "for this one, means, as the model pools no frames. We use: no window.",
        ],
    ),
    Preset(
        "tang2017-ensemble-16",
        row="section 3, model 16",
        figure="GAP 0.81796",
        flags={
            **FRAMES,
            "model": "SplitBiLSTMAttention",
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "video_level_classifier_model": "MoeModel",
            "moe_num_mixtures": 16,
            "dropout_keep_prob": 0.5,
            "learning_rate_decay": 0.5,
            "learning_rate_decay_examples": 2e7,
            "batch_size": 128,
            "num_gpu": 1,
        },
        open_questions=[CELL, SPLIT_CELLS],
    ),
    Preset(
        "tang2017-ensemble-17",
        row="section 3, model 17",
        figure="GAP 0.82301",
        first_stage="tang2017-first-stage-dropout",
        flags={
            **DESCRIPTORS,
            "model": "ClassifierChainModel",
            "chain_dropout": 0.5,
            "chain_groups": 12,
            "distribution_bottleneck": 1024,
            "feature_bottleneck": 512,
            "moe_num_mixtures": 8,
        },
        open_questions=[*SECOND_STAGE, CHAIN],
    ),
    Preset(
        "tang2017-ensemble-18",
        row="section 3, model 18",
        figure="GAP 0.82416",
        first_stage="tang2017-first-stage-dropout",
        flags={
            **DESCRIPTORS,
            "model": "HierarchicalMoeModel",
            "coarse_num_mixtures": 4,
            "label_num_mixtures": 4,
            "coarse_values": "logits",
        },
        open_questions=[*SECOND_STAGE, HMOE_VALUES, HMOE_EXPERTS, CHECKPOINT],
    ),
    Preset(
        "tang2017-ensemble",
        row="ensemble",
        figure="GAP 0.84346 public, 0.84333 private",
        members=[
            "tang2017-ensemble-01",
            "tang2017-ensemble-02",
            "tang2017-ensemble-03",
            "tang2017-ensemble-04",
            "tang2017-ensemble-05",
            "tang2017-ensemble-06",
            "tang2017-ensemble-07",
            "tang2017-ensemble-08",
            "tang2017-ensemble-09",
            "tang2017-ensemble-10",
            "tang2017-ensemble-11",
            "tang2017-ensemble-12",
            "tang2017-ensemble-13",
            "tang2017-ensemble-14",
            "tang2017-ensemble-15",
            "tang2017-ensemble-16",
            "tang2017-ensemble-17",
            "tang2017-ensemble-18",
        ],
        inference={"top_k": 100},
        open_questions=[
            "Unclear in the paper: the number of members; the abstract and the list "
            "of models say 18, the text of section 3 says 19. We use: the 18 of the "
            "list.",
            "Unclear in the paper: whether full predictions or the 20 best are "
            "averaged. We use: the 100 best of each member.",
        ],
    ),
]
