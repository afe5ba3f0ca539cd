"""Extracts the features of videos, for train.py and inference.py.

    python -m youtube8m.tools.extract_features --input_videos_csv=videos.csv \\
        --output_dir=features/train
    python -m youtube8m.tools.extract_features --input_videos='clips/*.mp4' \\
        --output_dir=features --image_model=EfficientNetV2B0 --fit_pca=512 --noaudio

Each record has rgb and audio, one vector for each second of a video. The networks of
YouTube-8M (yt8m and VGGish) are files to download once into --model_dir; the message
that one is missing says from where. The same command, given again, goes on where it
stopped. Needs PyAV: pip install 'youtube8m[video]'
"""

from youtube8m import cli
from youtube8m.cli import flags
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.many_videos import extract_videos

flags.define(ExtractConfig)


def main() -> None:
    """Reads the flags and extracts."""
    extract_videos(flags.read(ExtractConfig))


if __name__ == "__main__":
    cli.run(main)
