"""Predictions under YouTube's ids, on request alone."""

import pytest

from tests.helpers.download_server import DownloadServer
from tests.helpers.training_runs import LOGISTIC, config, train
from youtube8m.data.examples import video_example, write_records
from youtube8m.prediction.config import InferenceConfig
from youtube8m.prediction.inference import Inference

IDS = ["AbCd", "gone", "va-7"]


@pytest.fixture(scope="module")
def settings(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(LOGISTIC, config(sample, folder, "video", max_steps=1))
    records = folder / "test.tfrecord"
    features = {"mean_rgb": [0.5] * 24, "mean_audio": [0.5] * 8}
    write_records(str(records), [video_example(n, [1], features) for n in IDS])
    return {"train_dir": str(folder), "input_data_pattern": str(records)}


def predict(settings, folder, **values):
    """The ids and the rest of the rows of a CSV."""
    path = folder / "out.csv"
    Inference(InferenceConfig(output_file=str(path), **settings, **values)).run()
    rows = path.read_text().splitlines()[1:]
    return [row.split(",")[0] for row in rows], [row.split(",")[1] for row in rows]


def test_ids_are_youtubes_on_request(settings, tmp_path, caplog):
    with DownloadServer({"/2/j/i/Ab/AbCd.js": b'i("AbCd","dQw4w9WgXcQ");'}) as server:
        where = {
            "base_url": server.url,
            "youtube_ids_cache": str(tmp_path / "ids.csv"),
        }
        ids, rows = predict(settings, tmp_path, **where)
        assert ids == IDS and not server.requests
        named, same = predict(settings, tmp_path, youtube_ids=True, **where)
        assert named == ["dQw4w9WgXcQ", "gone", "va-7"] and same == rows
        assert len(server.requests) == 2
    told = [r.getMessage() for r in caplog.records if "deleted" in r.getMessage()]
    assert len(told) == 1 and told[0].startswith("no video on YouTube for 2 ids")
