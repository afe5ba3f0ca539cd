"""Facts of the YouTube-8M data: feature names and sizes, quantisation, formats.

The published records fix all of these; what a user can choose is in `config`. Shapes
are written [B, T, D]: batch, frames, features; C classes.
"""

from typing import NamedTuple

NUM_CLASSES_2018 = 3862  # and later; AudioSet has 527
NUM_CLASSES_2017 = 4716

MAX_FRAMES = 300  # one frame a second; longer videos are cut
SEGMENT_FRAMES = 5  # a rated segment lasts five seconds

# Frames are stored as one byte per value: 256 levels over [-2, 2].
QUANTIZED_MIN = -2.0
QUANTIZED_MAX = 2.0

# How the values of a frame (or of a video) may be stored: as the bytes of a type, or as
# a list of floats; and the bytes of a value.
BYTES, FLOAT_LIST = "uint8", "float_list"
STORED = {BYTES: 1, "float16": 2, "bfloat16": 2, "float32": 4, FLOAT_LIST: 4}

# The key is `video_id` in the 2017 release and AudioSet, `id` since May 2018.
ID_KEYS = ("id", "video_id")
LABELS_KEY = "labels"
SEGMENT_START_TIMES_KEY = "segment_start_times"
SEGMENT_END_TIMES_KEY = "segment_end_times"
SEGMENT_LABELS_KEY = "segment_labels"
SEGMENT_SCORES_KEY = "segment_scores"
RATING_KEYS = (SEGMENT_START_TIMES_KEY, SEGMENT_LABELS_KEY, SEGMENT_SCORES_KEY)

LABEL_PADDING = -1  # in a batch's `labels` [B, L]


class ClassFact(NamedTuple):
    """A constructor argument whose value is a column of a vocabulary."""

    meaning: str  # what it is, for messages
    attribute: str  # the name of the value in a Vocabulary
    least: int  # the least value that the vocabulary of a data set has
    lack: str  # what a class with a smaller value lacks
    remedy: str  # the file that has it


_ABSENT = ("no vertical", "a file that names one for each class")
CLASS_FACTS = {
    "verticals": ClassFact("the vertical of each class", "vertical_of", 0, *_ABSENT),
    "num_verticals": ClassFact("the number of verticals", "num_verticals", 1, *_ABSENT),
    "class_counts": ClassFact(
        "how many training videos each class has",
        "train_counts",
        1,
        "no training videos",
        "the data set's vocabulary.csv, whose TrainVideoCount counts them",
    ),
}
