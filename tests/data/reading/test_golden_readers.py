"""Crops against those of the readers that Zou et al. 2017 released."""

import re

import numpy as np
import pytest

from tests.helpers import golden
from tests.helpers.decoding import decode_records
from youtube8m.config import DataConfig
from youtube8m.data.reading import pipeline
from youtube8m.data.reading.damage import Damage
from youtube8m.data.writing.records import frame_example
from youtube8m.layers.inputs import dequantize

OUTPUT = re.compile(r"interval(\d+)_start(\d+)_len(\d+)_(matrix|num_frames)")
CASES = golden.cases("zou", classes=("YT8MFrameFeatureReader",))


def config(case, interval, start, released_crops=True):
    sizes = case.meta["sizes"]
    return DataConfig(
        ("rgb", "audio"),
        (sizes["rgb"], sizes["audio"]),
        frame_features=True,
        frame_sampling={"kunxu": "crop", "zhs": "interval"}[case.meta["branch"]],
        crop_stride=interval,
        crop_start=start,
        released_crops=released_crops,
    )


def decode(config, quantized):
    rgb, audio = np.split(quantized, config.feature_sizes[:1], axis=1)
    record = frame_example("v", [], {"rgb": rgb, "audio": audio}).SerializeToString()
    decoder = pipeline.decoder_for(config, True, Damage(strict=True))
    batch = decode_records(decoder, [record])
    return batch["frames"][0], batch["num_frames"]


@pytest.mark.parametrize("case", CASES)
def test_released_crops(case):
    golden.assert_known(case.meta["flags"], "crop")
    for name, expected in case.outputs.items():
        interval, start, length, kind = OUTPUT.fullmatch(name).groups()
        wanted = config(case, int(interval), int(start))
        frames, num_frames = decode(wanted, case[f"quantized_len{length}"])
        if kind == "num_frames":
            golden.assert_equal(num_frames, expected, name)
            continue
        assert len(expected) == wanted.longest_example
        padding = ((0, len(expected) - len(frames)), (0, 0))
        golden.assert_close(np.pad(frames, padding), expected, name)


@pytest.mark.parametrize("case", CASES)
def test_ours_are_the_same_frames_without_the_pads(case):
    for name, expected in case.outputs.items():
        interval, start, length, kind = OUTPUT.fullmatch(name).groups()
        if kind == "num_frames":
            continue
        wanted = config(case, int(interval), int(start), released_crops=False)
        quantized = case[f"quantized_len{length}"]
        frames, (count,) = decode(wanted, quantized)
        real = np.count_nonzero(expected.any(axis=1))
        if real:
            assert count == len(frames) == real
            golden.assert_close(dequantize(frames), expected[:real], name)
        else:  # the released crop starts behind the video
            golden.assert_equal(frames, quantized[-1:], name)
