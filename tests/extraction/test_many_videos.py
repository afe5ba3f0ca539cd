"""The work over many videos: records, labels, going on, and what bad input gets."""

import csv
import errno
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.helpers.clips import write_clip
from youtube8m.data.reading.damage import Damage
from youtube8m.data.reading.tfrecord import read_records
from youtube8m.errors import UserError
from youtube8m.extraction.config import ExtractConfig
from youtube8m.extraction.many_videos import extract_videos
from youtube8m.extraction.video_lists import list_videos
from youtube8m.extraction.video_records import make_record
from youtube8m.extraction.whitening import Moments, Whitening, has_pca


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips, a text file, and a network."""
    folder = tmp_path_factory.mktemp("clips")
    for name, colour in (("red", (200, 0, 0)), ("green", (0, 200, 0))):
        write_clip(folder / f"{name}.mp4", colour)
    write_clip(folder / "silent.mp4", sound=False)
    folder.joinpath("text.mp4").write_text("hello")
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    network.save(folder / "network.keras")
    network.export(folder / "network", verbose=False)
    return folder


def config(folder, tmp_path, **fields):
    fields = {
        "image_model": str(folder / "network.keras"),
        "feature_dtype": "float16",
        "audio": False,
        "output_dir": str(tmp_path / "out"),
    } | fields
    return ExtractConfig(**fields)


def read(path):
    parse, damage = tf.train.SequenceExample.FromString, Damage(strict=True)
    return [parse(data) for _, data in read_records(str(path), damage)]


def frames(record, name, dtype):
    rows = record.feature_lists.feature_list[name].feature
    return np.stack([np.frombuffer(row.bytes_list.value[0], dtype) for row in rows])


def test_float_records(folder, tmp_path):
    made = config(folder, tmp_path, input_videos=str(folder / "[rg]*.mp4"))
    assert extract_videos(made) == 2
    green, red = read(tmp_path / "out" / "videos00000.tfrecord")
    assert green.context.feature["id"].bytes_list.value[0] == b"green"
    assert "labels" not in green.context.feature
    values = frames(green, "rgb", "<f2")
    assert values.shape == (3, 6)
    mean = green.context.feature["mean_rgb"].float_list.value
    np.testing.assert_allclose(values.mean(axis=0, dtype=np.float32), mean, rtol=2e-3)
    assert not np.allclose(values, frames(red, "rgb", "<f2"), atol=0.01)


def test_a_video_or_list_is_not_overwritten(folder, tmp_path):
    (tmp_path / "list.csv").write_text(f"{folder / 'red.mp4'},\n")
    for output in (folder / "red.mp4", tmp_path / "list.csv"):
        made = config(
            folder,
            tmp_path,
            input_videos_csv=str(tmp_path / "list.csv"),
            output_dir="",
            output_tfrecords_file=str(output),
        )
        before = output.read_bytes()
        with pytest.raises(UserError, match="^--output_tfrecords_file=.* read, too"):
            extract_videos(made)
        assert output.read_bytes() == before


def test_a_saved_model_gives_the_same(folder, tmp_path):
    videos = {"input_videos": str(folder / "red.mp4")}
    found = []
    for name in ("network.keras", "network"):
        fields = {"image_model": str(folder / name)} | videos
        extract_videos(config(folder, tmp_path / name, **fields))
        (record,) = read(tmp_path / name / "out" / "videos00000.tfrecord")
        found.append(frames(record, "rgb", "<f2"))
    np.testing.assert_array_equal(*found)


def test_bad_videos_are_told_and_tried_again(folder, tmp_path):
    made = config(
        folder,
        tmp_path,
        input_videos=str(folder / "*.mp4"),
        shard_size=2,
        num_workers=2,
    )
    with pytest.raises(UserError, match="1 of 4 videos could not be used.* 3 are"):
        extract_videos(made)
    out = tmp_path / "out"
    with open(out / "videos.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["green", "red", "silent"]
    assert [row["shard"][6:11] for row in rows] == ["00000", "00000", "00001"]
    before = {path: path.read_bytes() for path in out.glob("*.tfrecord")}
    assert len(before) == 2
    with pytest.raises(UserError, match="1 of 1 videos could not be used"):
        extract_videos(made)
    assert before == {path: path.read_bytes() for path in out.glob("*.tfrecord")}
    assert sorted(p.name for p in out.iterdir()) == [
        "features.json",
        "videos.csv",
        "videos00000.tfrecord",
        "videos00001.tfrecord",
    ]


def test_an_interrupted_call_writes_what_is_done(folder, tmp_path, monkeypatch):
    calls = []

    def stop(self, video, found, progress):
        calls.append(video.id)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("youtube8m.extraction.many_videos.Extraction._tell", stop)
    made = config(folder, tmp_path, input_videos=str(folder / "[rgs]*.mp4"))
    with pytest.raises(KeyboardInterrupt):
        extract_videos(made)
    assert len(read(tmp_path / "out" / "videos00000.tfrecord")) == 1
    monkeypatch.undo()
    assert extract_videos(made) == 2
    assert len(read(tmp_path / "out" / "videos00001.tfrecord")) == 2


def test_an_interrupted_file_is_not_written(folder, tmp_path, monkeypatch):
    calls = []

    def stop(self, video, found, progress):
        calls.append(video.id)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("youtube8m.extraction.many_videos.Extraction._tell", stop)
    output = tmp_path / "all.tfrecord"
    fields = {"output_dir": "", "output_tfrecords_file": str(output)}
    made = config(folder, tmp_path, input_videos=str(folder / "[rgs]*.mp4"), **fields)
    with pytest.raises(KeyboardInterrupt):
        extract_videos(made)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert extract_videos(made) == 3
    none = config(folder, tmp_path, input_videos=str(folder / "text.mp4"), **fields)
    before = output.read_bytes()
    with pytest.raises(UserError, match="1 of 1 videos could not be used"):
        extract_videos(none)
    assert output.read_bytes() == before


def test_an_id_from_another_path_is_told(folder, tmp_path, caplog):
    videos = {"input_videos": str(folder / "red.mp4")}
    assert extract_videos(config(folder, tmp_path, **videos)) == 1
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "red.mp4"
    other.write_bytes((folder / "green.mp4").read_bytes())
    assert extract_videos(config(folder, tmp_path, input_videos=str(other))) == 0
    assert "1 videos have ids that were extracted before from other paths, first " in (
        caplog.text
    )
    assert str(other) in caplog.text


def test_other_flags_for_the_same_directory_are_an_error(folder, tmp_path):
    videos = {"input_videos": str(folder / "red.mp4")}
    extract_videos(config(folder, tmp_path, **videos))
    description = json.loads((tmp_path / "out" / "features.json").read_text())
    assert description["feature_sizes"] == {"rgb": 6}
    videos = {"input_videos": str(folder / "green.mp4")}
    with pytest.raises(UserError, match="max_frames=300, not 2"):
        extract_videos(config(folder, tmp_path, max_frames=2, **videos))


def test_no_sound(folder, tmp_path):
    videos = {"input_videos": str(folder / "silent.mp4")}
    zeros = config(folder, tmp_path, insert_zero_audio_features=True, **videos)
    extract_videos(zeros)
    (record,) = read(tmp_path / "out" / "videos00000.tfrecord")
    assert not frames(record, "audio", "<f2").any()
    assert frames(record, "audio", "<f2").shape == (3, 128)


def test_segments_behind_the_end_are_told(folder, tmp_path, caplog):
    path = folder / "red.mp4"
    (tmp_path / "list.csv").write_text(f"{path},1\n")
    rows = f"path,start,class,score\n{path},0,1,1\n{path},5,1,0\n"
    (tmp_path / "segments.csv").write_text(rows)
    files = {"input_videos_csv": "list.csv", "segments_csv": "segments.csv"}
    files = {name: str(tmp_path / file) for name, file in files.items()}
    extract_videos(config(folder, tmp_path, **files))
    assert "red.mp4: has 3 frames; 1 of its rated segments begin later" in caplog.text
    (record,) = read(tmp_path / "out" / "videos00000.tfrecord")
    starts = record.context.feature["segment_start_times"].int64_list.value
    assert starts == [0]


def test_a_pca_of_no_frames_says_why(folder, tmp_path, caplog):
    fields = {"feature_dtype": "uint8", "fit_pca": 2}
    fields |= {"input_videos": str(folder / "text.mp4")}
    with pytest.raises(UserError, match="no video has frames"):
        extract_videos(config(folder, tmp_path, **fields))
    assert "text.mp4: is no video" in caplog.text


def test_a_full_disk_is_one_line(folder, tmp_path):
    fields = {"output_dir": "", "output_tfrecords_file": "/dev/full"}
    fields |= {"input_videos": str(folder / "red.mp4")}
    with pytest.raises(UserError, match="/dev/full: cannot be written .*No space left"):
        extract_videos(config(folder, tmp_path, **fields))


def test_a_disk_that_is_full_leaves_whole_shards(folder, tmp_path, monkeypatch):
    made, records = make_record, []

    def fail(*args):
        records.append(args)
        if len(records) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return made(*args)

    monkeypatch.setattr("youtube8m.extraction.many_videos.make_record", fail)
    videos = str(folder / "[rgs]*.mp4")
    fields = config(folder, tmp_path, input_videos=videos, shard_size=1)
    with pytest.raises(UserError, match="videos00001.tfrecord: cannot be .*No space"):
        extract_videos(fields)
    out = tmp_path / "out"
    shards = ["videos00000.tfrecord"]
    assert [p.name for p in sorted(out.iterdir()) if ".tfrecord" in p.name] == shards
    monkeypatch.undo()
    assert extract_videos(fields) == 2
    assert len(list(out.glob("*.tfrecord"))) == 3


def test_odd_names_and_lengths(folder, tmp_path):
    """Brackets, commas, blanks, no frames, and ten hours of one frame a minute."""
    odd = tmp_path / "a [1], b"
    odd.mkdir()
    odd.joinpath("c [2], d.mp4").write_bytes((folder / "red.mp4").read_bytes())
    long = write_clip(
        odd / "long.mkv", times=[60 * n for n in range(600)], sound=False, seconds=36e3
    )
    write_clip(odd / "none.mkv", times=[], codec="ffv1")
    text = f'"{odd}/c [2], d.mp4",1\n{odd / "none.mkv"},2\n"{long}",\n'
    text = text.replace(f"{odd}/none.mkv", f'"{odd}/none.mkv"')
    (tmp_path / "list.csv").write_text(text)
    fields = {"input_videos_csv": str(tmp_path / "list.csv"), "max_frames": 4}
    with pytest.raises(UserError, match="1 of 3 videos could not be used.* 2 are"):
        extract_videos(config(folder, tmp_path, **fields))
    one, two = read(tmp_path / "out" / "videos00000.tfrecord")
    assert one.context.feature["id"].bytes_list.value[0] == b"c [2], d"
    assert len(frames(two, "rgb", "<f2")) == 4
    glob = {"input_videos": str(odd / "c [2], d.mp4")}
    assert extract_videos(config(folder, tmp_path / "glob", **glob)) == 1


def test_missing_model_files_say_where_to_get_them(folder, tmp_path):
    fields = {"image_model": "yt8m", "model_dir": str(tmp_path), "audio": True}
    fields |= {"input_videos": str(folder / "red.mp4")}
    message = r"classify_image_graph_def.pb: there is no such file.*88 MB.*http://"
    with pytest.raises(UserError, match=message):
        extract_videos(config(folder, tmp_path, **fields))
    fields["model_dir"] = str(tmp_path / "a b")
    with pytest.raises(UserError, match="by mkdir -p '.*/a b' && curl .* -C '.*/a b'"):
        extract_videos(config(folder, tmp_path, **fields))


def test_a_fitted_pca_whitens(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 8)) + 5
    moments = Moments()
    for part in np.split(values, [100, 350]):
        moments.update(part)
    moments.write_pca(str(tmp_path), 3)
    whitening = Whitening.load_starter(str(tmp_path), 3)
    found = whitening(values)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(3), atol=1e-3)
    with pytest.raises(UserError, match="only 500 frames"):
        Moments.write_pca(moments_of(rng.normal(size=(500, 600))), str(tmp_path), 500)


def moments_of(values):
    moments = Moments()
    moments.update(values)
    return moments


@pytest.mark.parametrize(
    "name, values, message",
    [
        ("mean", [[np.nan]] * 2, "mean.npy: holds .*not all of them finite"),
        ("eigenvals", [[-1.0], [1.0]], "eigenvals.npy has the value -1; expected var"),
        ("eigenvals", [["a"], ["b"]], "eigenvals.npy: holds <U1"),
        ("eigenvecs", 1.0, "eigenvecs.npy: holds float64 .*get the file again"),
    ],
)
def test_a_pca_that_cannot_be_meant_names_its_file(tmp_path, name, values, message):
    arrays = {"mean": [[0.0]] * 2, "eigenvals": [[1.0]] * 2, "eigenvecs": np.eye(2)}
    for key, array in (arrays | {name: values}).items():
        np.save(tmp_path / f"{key}.npy", np.array(array))
    with pytest.raises(UserError, match=message):
        Whitening.load_starter(str(tmp_path), None)


def test_a_pca_of_which_a_file_is_missing_is_not_replaced(tmp_path):
    assert not has_pca(str(tmp_path))
    for name in ("mean", "eigenvecs"):
        np.save(tmp_path / f"{name}.npy", np.eye(2))
    with pytest.raises(UserError, match="has mean.npy, but no eigenvals.npy; restore"):
        has_pca(str(tmp_path))
    np.save(tmp_path / "eigenvals.npy", np.ones(2))
    assert has_pca(str(tmp_path))


def test_no_pca_is_fitted_on_nothing(folder, tmp_path):
    """Videos that cannot be used, or whose features are not finite."""
    with pytest.raises(UserError, match="--fit_pca=2: no video has frames that can be"):
        Moments().write_pca(str(tmp_path), 2)
    made = config(
        folder,
        tmp_path,
        input_videos=str(folder / "text.mp4"),
        fit_pca=2,
        feature_dtype="uint8",
    )
    with pytest.raises(UserError, match="--fit_pca=2: no video has frames that can be"):
        extract_videos(made)


def test_names_that_are_not_utf8_are_listed_and_found_again(folder, tmp_path):
    video = tmp_path / "\udce9t\udce9.mp4"
    video.write_bytes((folder / "red.mp4").read_bytes())
    made = config(folder, tmp_path, input_videos=str(tmp_path / "*.mp4"))
    assert extract_videos(made) == 1 and extract_videos(made) == 0
    index = tmp_path / "out" / "videos.csv"
    index.write_bytes(index.read_bytes() + b'"\0')
    with pytest.raises(UserError, match="videos.csv: is not the list"):
        extract_videos(made)


def test_fit_pca_is_kept_for_other_videos(folder, tmp_path):
    fields = {"feature_dtype": "uint8", "pca_dir": str(tmp_path / "pca")}
    videos = str(folder / "[rg]*.mp4")
    extract_videos(config(folder, tmp_path, fit_pca=2, input_videos=videos, **fields))
    records = read(tmp_path / "out" / "videos00000.tfrecord")
    means = [r.context.feature["mean_rgb"].float_list.value for r in records]
    np.testing.assert_allclose(np.sum(means, axis=0), 0, atol=1e-3)
    assert frames(records[0], "rgb", np.uint8).shape == (3, 2)
    fields |= {"input_videos": str(folder / "silent.mp4")}
    extract_videos(config(folder, tmp_path / "other", **fields))
    (record,) = read(tmp_path / "other" / "out" / "videos00000.tfrecord")
    assert frames(record, "rgb", np.uint8).shape == (3, 2)


def lists(tmp_path, text, segments="", **fields):
    tmp_path.joinpath("list.csv").write_text(text)
    if segments:
        fields["segments_csv"] = str(tmp_path / "segments.csv")
        tmp_path.joinpath("segments.csv").write_text(segments)
    return list_videos(
        ExtractConfig(
            output_dir=str(tmp_path),
            input_videos_csv=str(tmp_path / "list.csv"),
            **fields,
        )
    )


def test_labels_of_a_csv(tmp_path):
    vocabulary = tmp_path / "names.csv"
    vocabulary.write_text('index,name\n0,Cat\n1,"Dog, big"\n')
    text = 'a/x.mp4,52;3;10\n\ny.mp4\nz.mp4,\n"q,1.mp4","Dog, big;Cat"\n'
    videos = lists(tmp_path, text, vocabulary_file=str(vocabulary))
    assert [v.id for v in videos] == ["x", "y", "z", "q,1"]
    assert [v.labels for v in videos] == [(3, 10, 52), None, None, (0, 1)]
    assert lists(tmp_path, "a/x.mp4,1\n", id="path")[0].id == "a/x.mp4"


def test_a_label_that_is_no_name_of_the_vocabulary(tmp_path):
    (tmp_path / "names.csv").write_text("index,name\n0,Cat\n1,Dog\n")
    with pytest.raises(UserError, match="list.csv, line 2: label: .*'Dgo'.*mean Dog"):
        lists(
            tmp_path,
            "x.mp4,Cat\ny.mp4,Dgo\n",
            vocabulary_file=str(tmp_path / "names.csv"),
        )


def test_a_csv_as_spreadsheets_write_it(tmp_path):
    text = '\ufeffa.mp4,1\r\n\r\n,\r\n"b, [2].mp4","2;1"\r\n'
    videos = lists(tmp_path, text)
    assert [(v.path, v.labels) for v in videos] == [
        ("a.mp4", (1,)),
        ("b, [2].mp4", (1, 2)),
    ]


def test_segments_of_a_csv(tmp_path):
    segments = "path,start,class,score\nx.mp4,5,3,1\nx.mp4,10,3,0\n"
    rated, unrated = lists(tmp_path, "x.mp4,3\ny.mp4,4\n", segments)
    assert rated.segments == ((5, 3, 1.0), (10, 3, 0.0))
    assert unrated.segments == ()


@pytest.mark.parametrize(
    "text, segments, message",
    [
        ("a/x.mp4,1\nb/x.avi,2\n", "", "a/x.mp4 and b/x.avi both have the id 'x'"),
        ("a/x.mp4,1\na/x.mp4,2\n", "", "a/x.mp4: is listed twice"),
        (f"x.mp4,{2**31}\n", "", "line 1: label '2147483648': is no class"),
        ("x.mp4,1\n", "path,start,class,score\nx.mp4,0,3,7\n", "start 0 and score 7"),
        ("x.mp4,1,2\n", "", "line 1: has 3 columns"),
        ("x.mp4,Cat\n", "", "'Cat' is no number; give --vocabulary_file"),
        ('x.mp4,1\n"y.mp4\n', "", "list.csv: line 2 is no CSV"),
        ("\n", "", "names no video"),
        ("x.mp4,1\n", "x.mp4,5,3,1\n", "expected the header path,start,class,score"),
        ("x.mp4,1\n", "path,start,class,score\nx.mp4,a,3,1\n", "line 2: is"),
        ("x.mp4,1\n", "path,start,class,score\ny.mp4,0,3,1\n", "y.mp4 is not among"),
        (f"x.mp4,{10**20}\n", "", "line 1: label '1000.*no class; expected a number"),
        ("Path,Labels\nx.mp4,1\n", "", "line 1: is the header .*remove that line"),
        ("x.mp4,1\n,2\n", "", "line 2: names no video"),
        *(
            ("x.mp4,1\n", f"path,start,class,score\nx.mp4,{row}\n", "line 2: has start")
            for row in ("0,3,nan", "0,3,inf", "-5,3,1", f"{10**20},3,1")
        ),
    ],
)
def test_bad_lists(text, segments, message, tmp_path):
    with pytest.raises(UserError, match=message):
        lists(tmp_path, text, segments)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "give --output_dir"),
        ({"output_dir": "o"}, "give --input_videos_csv"),
        (
            {"output_dir": "o", "input_videos": "a", "image_model": "ResNet50"},
            "do not fit into bytes",
        ),
        ({"output_dir": "o", "input_videos": "a", "fit_pca": 3}, "a PCA of its own"),
        ({"frames_per_second": float("inf")}, "--frames_per_second=inf: must be"),
    ],
)
def test_flags_that_do_not_fit(fields, message):
    with pytest.raises(UserError, match=message):
        ExtractConfig(**fields)
