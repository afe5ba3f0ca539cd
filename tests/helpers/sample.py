"""The sample data set that most runs of tests read, and the flags that describe it."""

from youtube8m.data.writing import synthetic

SAMPLE = synthetic.SampleConfig(
    num_classes=12,
    feature_names=("rgb", "audio"),
    feature_sizes=(24, 8),
    num_train=160,
    num_validate=60,
    num_test=20,
    min_frames=8,
    max_frames=24,
)
FRAME_FLAGS = (
    "--frame_features",
    "--feature_names=rgb,audio",
    "--feature_sizes=24,8",
    "--num_classes=12",
)
VIDEO_FLAGS = (
    "--feature_names=mean_rgb,mean_audio",
    "--feature_sizes=24,8",
    "--num_classes=12",
)
