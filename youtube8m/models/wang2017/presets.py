"""Models of the team Monkeytyping, by the scripts and notes in their code."""

from youtube8m.models.preset import Paper, Preset
from youtube8m.models.starter.presets import ON_FRAMES, ON_VIDEOS

PAPER = Paper(
    name="Wang et al. 2017",
    title="The Monkeytyping Solution to the YouTube-8M Video Understanding Challenge",
    url="https://arxiv.org/abs/1706.05150",
    read="the scripts and the notes of the released code",
    code="https://github.com/wangheda/youtube-8m",
)

SUPPORTED = {"label_loss": "MultiTaskCrossEntropyLoss"}
CHAIN = {
    **SUPPORTED,
    "video_level_classifier_model": "DeepCombineChainModel",
    "deep_chain_relu_type": "relu",
    "deep_chain_latest": False,
}

FIGURE = (
    "Unclear in the paper: the figure of this model alone, which the code does not "
    "note. We use: the script, without a figure as a target."
)
EPOCHS = (
    "Unclear in the paper: how long to train, which the script does not say. We use: 5 "
    "epochs, the starter code's default."
)
SPLIT = (
    "Unclear in the paper: on which videos the figure was measured; the notes say the "
    "files of the validation split that begin with validatea. We use: the training "
    "split alone for training."
)

PRESETS = [
    Preset(
        "wang2017-video-chain",
        row="script, video-level chain of 8",
        flags={
            **ON_VIDEOS,
            **SUPPORTED,
            "model": "DeepCombineChainModel",
            "deep_chain_layers": 8,
            "deep_chain_relu_cells": 128,
            "deep_chain_relu_type": "relu",
            "deep_chain_latest": False,
            "moe_num_mixtures": 2,
            "support_loss_percent": 0.025,
            "batch_size": 512,
            "base_learning_rate": 0.004,
        },
        open_questions=[FIGURE],
    ),
    Preset(
        "wang2017-cnn-chain",
        row="script, chain of 4 on filters",
        flags={
            **ON_FRAMES,
            **CHAIN,
            "model": "CNNDeepCombineChain",
            "deep_chain_layers": 4,
            "deep_chain_relu_cells": 128,
            "moe_num_mixtures": 4,
            "support_loss_percent": 0.05,
            "base_learning_rate": 0.001,
        },
        open_questions=[FIGURE, EPOCHS],
    ),
    Preset(
        "wang2017-lstm-cnn-chain",
        row="script, chain of 3 on filters over LSTMs",
        flags={
            **ON_FRAMES,
            **CHAIN,
            "model": "LSTMCNNDeepCombineChain",
            "deep_chain_layers": 3,
            "deep_chain_relu_cells": 128,
            "visual_lstm_cells": 1024,
            "audio_lstm_cells": 128,
            "lstm_layers": 1,
            "moe_num_mixtures": 4,
            "support_loss_percent": 0.05,
            "batch_size": 96,
            "base_learning_rate": 0.001,
        },
        open_questions=[FIGURE, EPOCHS],
    ),
    Preset(
        "wang2017-lstm-chain",
        row="script, chain of 1 on LSTMs",
        flags={
            **ON_FRAMES,
            **CHAIN,
            "deep_chain_latest": True,
            "model": "LSTMMemoryDeepChain",
            "deep_chain_layers": 1,
            "deep_chain_relu_cells": 200,
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "moe_num_mixtures": 4,
            "support_loss_percent": 0.2,
            "base_learning_rate": 0.0008,
        },
        open_questions=[FIGURE, EPOCHS],
    ),
    Preset(
        "wang2017-attention8max",
        row="notes, LSTM with 8 attentions",
        figure="GAP 0.8177",
        flags={
            **ON_FRAMES,
            "model": "LSTMAttentionMaxPooling",
            "video_level_classifier_model": "MoeModel",
            "lstm_cells": 1024,
            "lstm_layers": 2,
            "lstm_attentions": 8,
            "positional_embedding_size": 0,
            "moe_num_mixtures": 8,
            "base_learning_rate": 0.001,
            "num_epochs": 6,
        },
        open_questions=[
            SPLIT,
            "Unclear in the paper: how long to train; the script of the same model "
            "with learned positions says 6 epochs. We use: 6.",
        ],
    ),
    Preset(
        "wang2017-multiscale",
        row="notes, multi-scale CNN-LSTM of 4 scales",
        figure="GAP 0.8223",
        flags={
            **ON_FRAMES,
            **SUPPORTED,
            "model": "MultiscaleCNNLSTM",
            "video_level_classifier_model": "MultiscaleMoeModel",
            "multiscale_cnn_lstm_layers": 4,
            "multiscale_filters": 256,
            "lstm_cells": 1024,
            "moe_num_mixtures": 4,
            "support_loss_percent": 1.0,
            "base_learning_rate": 0.001,
        },
        open_questions=[
            SPLIT,
            "Unclear in the paper: whether the batch normalisation of the model with "
            "this figure used moving statistics in training, as the code does unless "
            "--is_training is given. We use: those of the batch.",
        ],
    ),
]
