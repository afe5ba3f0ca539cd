"""Shows everything once: sample data, training, evaluation, a Kaggle CSV.

python -m youtube8m.tools.demo --directory=yt8m_demo
"""

import itertools
import os
import shlex
import subprocess
import sys
import time

from absl import flags

from youtube8m import cli
from youtube8m.data.labels.vocabulary import read_vocabulary
from youtube8m.data.writing import synthetic
from youtube8m.errors import UserError
from youtube8m.prediction.names import class_name
from youtube8m.prediction.submission import Submission
from youtube8m.util.files import local_path
from youtube8m.util.progress import Progress
from youtube8m.util.text import aligned

_DIRECTORY = flags.DEFINE_string("directory", "yt8m_demo", "Where to write it all.")

# Full-size features and lengths, but few enough videos for a minute on a laptop.
_SAMPLE = synthetic.SampleConfig(num_train=400, num_validate=100, num_test=50)


def main() -> None:
    """Runs the four steps and prints each command as a user would type it."""
    began = time.monotonic()
    directory = local_path(_DIRECTORY.value, "--directory")
    written = _write_sample(os.path.join(directory, "data"))
    features = ["--frame_features", "--feature_names=rgb,audio"]
    features += ["--feature_sizes=1024,128", f"--num_classes={_SAMPLE.num_classes}"]
    run = f"--train_dir={os.path.join(directory, 'model')}"
    csv = os.path.join(directory, "kaggle_solution.csv")
    _run(
        "train",
        run,
        f"--train_data_pattern={written['frame/train']}",
        *features,
        "--model=FrameLevelLogisticModel",
        "--batch_size=64",
        "--num_epochs=5",
        "--start_new_model",
    )
    _run("eval", run, f"--eval_data_pattern={written['frame/validate']}", "--run_once")
    _run(
        "inference",
        run,
        f"--input_data_pattern={written['frame/test']}",
        f"--output_file={csv}",
    )
    print(f"\n{csv} begins:")
    with open(csv, encoding="utf-8") as file:
        for line in itertools.islice(file, 3):
            print(f"  {line.rstrip()[:100]}")
    print(
        "\nThe same with the names of the classes, beside the labels they should have:"
    )
    labels = synthetic.true_labels(_SAMPLE, "test")
    print(_table(csv, read_vocabulary(written["vocabulary"]), labels))
    print(f"\nDone in {time.monotonic() - began:.0f} seconds; all is in {directory}/")


def _write_sample(directory):
    print(f"Writing a sample data set to {directory}/", flush=True)
    total = _SAMPLE.num_train + _SAMPLE.num_validate + _SAMPLE.num_test
    with Progress("writing", total) as progress:
        written = synthetic.write_sample(
            directory, _SAMPLE, progress=lambda done, _: progress.update(done)
        )
    print(
        f"{total} videos, {written['num_frames']:,} frames, {_SAMPLE.num_classes} "
        "classes; frame level, video level and segments"
    )
    return written


def _table(csv, vocabulary, labels):
    """The first videos: their best classes beside their `labels`, {id: class ids}."""
    predictions = Submission(csv)
    lines = [("video", "predicted", "confidence", "true labels")]
    for row, video_id in enumerate(predictions.keys[:3]):
        _, classes, scores = predictions.pairs([row])
        true = [class_name(vocabulary, n) for n in labels[video_id]]
        count = max(3, len(true))
        names = [class_name(vocabulary, n) for n in classes[:count]]
        confidences = [f"{score:.2f}" for score in scores[:count]]
        columns = ([video_id], names, confidences, true)
        lines += itertools.zip_longest(*columns, fillvalue="")
    return "\n".join(f"  {line}" for line in aligned(lines, numbers=(2,)))


def _run(name, *arguments):
    command = [sys.executable, "-m", f"youtube8m.tools.{name}", *arguments]
    shown = ["python", f"{name}.py", *arguments]
    print(f"\n$ {shlex.join(shown)}", flush=True)
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"the demo stopped: {name}.py failed, see its message above")


if __name__ == "__main__":
    cli.run(main)
