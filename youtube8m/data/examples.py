"""The import path of `youtube8m.data.writing.records` that users' scripts have."""

from youtube8m.data.writing.records import (
    RatedSegment,
    add_segments,
    dequantize,
    frame_example,
    quantize,
    record_file,
    video_example,
    write_records,
)

__all__ = [
    "RatedSegment",
    "add_segments",
    "dequantize",
    "frame_example",
    "quantize",
    "record_file",
    "video_example",
    "write_records",
]
