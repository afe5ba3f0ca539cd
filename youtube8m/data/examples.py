"""The import path of `youtube8m.data.writing.records` that users' scripts have."""

from youtube8m.data.writing.records import (  # noqa: F401
    RatedSegment,
    add_segments,
    dequantize,
    frame_example,
    quantize,
    record_file,
    video_example,
    write_records,
)
