"""The starter code's training settings, on which most papers build; no rows."""

from youtube8m import schema
from youtube8m.models.preset import Paper

PAPER = Paper(
    name="starter code",
    title="YouTube-8M: A Large-Scale Video Classification Benchmark",
    url="https://arxiv.org/abs/1609.08675",
    code="https://github.com/google/youtube-8m",
)

ON_VIDEOS = {
    "feature_names": "mean_rgb,mean_audio",
    "feature_sizes": "1024,128",
    "num_classes": schema.NUM_CLASSES_2017,
    "optimizer": "AdamOptimizer",
    "learning_rate_decay": 0.95,
    "learning_rate_decay_examples": 4e6,
    "clip_gradient_norm": 1.0,
    "batch_size": 1024,
    "num_epochs": 5,
}
ON_FRAMES = {
    **ON_VIDEOS,
    "frame_features": True,
    "feature_names": "rgb,audio",
    "batch_size": 128,
}
