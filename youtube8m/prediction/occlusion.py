"""Which seconds of a video a run's predictions come from.

    explained = explain_record(trained, record, top_k=10)
    explained.timeline[n]           # confidences [k] of the nth five seconds alone
    explained.occlusion[n]          # change of each confidence without them [k]
    explained.attention[n]          # their share of the attention [Q], if there is any

Occlusion leaves frames out: the rest of the video moves together, as if it had been
cut. Frames set to zero would be frames that no video has, and what a model says of
those says nothing about the video. All models take videos of any length, so a cut one
is an input like any other.

Shapes: N segments of five seconds, k classes, Q queries of the attention, T frames.
"""

import dataclasses

import keras
import numpy as np

from youtube8m.data.reading import frame_sampling
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.messages import RecordError
from youtube8m.data.reading.pipeline import decoder_for
from youtube8m.errors import UserError
from youtube8m.prediction.predictor import TrainedRun
from youtube8m.prediction.segmentation import split_videos

SECONDS = 5  # of a segment
_VARIANTS = 16  # of a video that are predicted at once


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What a run says of one video, and of its parts.

    Attributes:
      classes: int [k], those with the highest confidence.
      confidences: float32 [k], of the whole video.
      labels: int [L], classes that the record has; None: it does not say.
      starts: float64 [N], seconds at which the segments begin; N is 0 where the run
        sees no frames.
      seconds: length of the video.
      timeline: float32 [N, k], confidences of each segment alone.
      occlusion: float32 [N, k], the confidence without the segment minus that of the
        whole; nan where nothing would be left.
      attention: float32 [N, Q], share of the weights of each query; None if the model
        has no attention.
    """

    video_id: bytes
    classes: np.ndarray
    confidences: np.ndarray
    labels: np.ndarray | None
    starts: np.ndarray
    seconds: float
    timeline: np.ndarray
    occlusion: np.ndarray
    attention: np.ndarray | None

    @property
    def has_frames(self) -> bool:
        """Whether the run sees frames, so that it can be asked about parts."""
        return len(self.starts) > 0


def explain_record(
    trained: TrainedRun, record: bytes, top_k: int = 10, rate: float = 1.0
) -> Explanation:
    """Explains the predictions of a run, whose checkpoint is loaded, for one record.

    Args:
      record: as the run was trained on; see `TrainedRun.open_shards`.
      top_k: classes that are explained.
      rate: frames in a second.

    Raises UserError if the record cannot be used.
    """
    data = trained.run.data
    try:
        if data.frame_features:
            return _Frames(trained, record, rate).explain(top_k)
        batch = _decode(decoder_for(data, False, Damage(strict=True)), record)
    except RecordError as error:
        raise UserError(f"the record {error}") from None
    scores = np.asarray(trained.predict(batch)["predictions"])[0]
    classes = _best(scores, top_k)
    none = np.empty((0, len(classes)), np.float32)
    return Explanation(
        batch["id"][0],
        classes,
        scores[classes],
        _labels(data, record),
        np.empty(0),
        0.0,
        none,
        none,
        None,
    )


class _Frames:
    """The frames of one record, for a run that sees them."""

    def __init__(self, trained, record, rate):
        self.trained, self.record, self.rate = trained, record, rate
        self.data = trained.run.data
        self.decoder = decoder_for(self.data, False, Damage(strict=True))
        every = decoder_for(self.data.of_segments(), False, Damage(strict=True))
        self.frames = _decode(every, record)
        self.length = int(self.frames["num_frames"][0])
        self.size = max(1, round(SECONDS * rate))

    def explain(self, top_k):
        outputs = self._predict_without([range(0)])
        whole = np.asarray(outputs["predictions"])[0]
        classes = _best(whole, top_k)
        segments, _, starts = split_videos(self.frames, self.size)
        timeline = np.asarray(self.trained.predict(segments)["predictions"])
        return Explanation(
            self.frames["id"][0],
            classes,
            whole[classes],
            _labels(self.data, self.record),
            starts / self.rate,
            self.length / self.rate,
            timeline[:, classes],
            self._occlude(starts, classes),
            self._attention(outputs.get("attention"), len(starts)),
        )

    def _predict_without(self, spans):
        return self.trained.predict(self.decoder.decode_without(self.record, spans))

    def _occlude(self, starts, classes):
        """float32 [N, k]: changes of the confidences."""
        if len(starts) == 1:  # nothing would be left
            return np.full((1, len(classes)), np.nan, np.float32)
        # Each call also predicts the whole video: sums are rounded alike in one batch.
        changes = []
        for first in range(0, len(starts), _VARIANTS):
            few = starts[first : first + _VARIANTS].tolist()
            spans = [range(start, min(start + self.size, self.length)) for start in few]
            scores = self._predict_without([range(0), *spans])["predictions"]
            scores = np.asarray(scores)[:, classes]
            changes.append(scores[1:] - scores[0])
        return np.concatenate(changes)

    def _attention(self, weights, count):
        """The share of each segment float32 [N, Q], of weights [1, S, Q] or None."""
        if weights is None:
            return None
        chosen = np.asarray(frame_sampling.sample(self.data, self.length))
        step = self.trained.model.encoder.frames_per_attention
        of_steps = np.asarray(weights)[0]
        # The weight of a step is spread over its frames.
        steps = np.arange(len(chosen)) // step
        kept = steps < len(of_steps)
        sizes = np.bincount(steps)
        of_frames = of_steps[steps[kept]] / sizes[steps[kept], None]
        shares = np.zeros((count, of_steps.shape[1]), np.float32)
        np.add.at(shares, chosen[kept] // self.size, of_frames)
        return shares / np.maximum(shares.sum(axis=0), 1e-12)


def _decode(decoder, record):
    """A batch of one record."""
    rows, examples = decoder.allocate_rows([len(record)]), decoder.parse(record)
    if rows is not None:
        rows.add([example.pop("frames") for example in examples])
    return decoder.collate(examples, rows)


def _labels(data, record):
    """The classes int [L] of a record; None if it has no labels."""
    decoder = decoder_for(data, True, Damage(strict=True))
    try:
        return np.array(decoder.parse(record)[0]["labels"], int)
    except RecordError:
        return None
    except UserError as error:  # of a class that the run does not know
        raise UserError(f"the record {error}") from None


def _best(scores, top_k):
    """The k classes with the highest confidence, int [k]."""
    _, classes = keras.ops.top_k(scores, min(top_k, len(scores)))
    return np.asarray(classes)
