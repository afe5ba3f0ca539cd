"""The encoders of Na et al. 2017 against numpy, video by video."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import reference
from tests.helpers.layers import LENGTHS, MASK, check_recurrent, randomized
from tests.helpers.layers import X as FRAMES
from tests.helpers.reference import normalized
from youtube8m import models
from youtube8m.models.na2017 import encoders

RNG = np.random.default_rng(0)
VIDEOS = [frames[:n] for frames, n in zip(FRAMES, LENGTHS, strict=True)]
LABELS = np.array([[0, 2, -1], [1, -1, -1], [-1, -1, -1]], np.int32)


@pytest.mark.parametrize("memory", ["none", "m", "m-o"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("summed", ["candidates", "outputs"])
def test_lstm_memory(memory, layers, layer_norm, summed):
    values = {"lstm_memory": memory, "layer_norm": layer_norm, "lstm_sum": summed}
    encoder = randomized(encoders.LSTMMemory(4, layers, **values))
    result = encoder(FRAMES, MASK)
    step = reference.layer_norm_lstm if layer_norm else reference.lstm
    for b, video in enumerate(VIDEOS):
        x, states = video, []
        for layer in encoder.stack.layers:
            below = x
            x, h, c = step(x, layer)
            states += [c, h]
        o = candidates(below, x, layer) if summed == "candidates" else x
        before = [normalized(o.sum(axis=0))] if memory == "m-o" else []
        after = [] if memory == "none" else [normalized(video.sum(axis=0))]
        check_recurrent(result[b], np.concatenate(before + states + after))


def candidates(x, h, layer):
    """g_t = tanh(x_t W + h_{t-1} U + b), or with LN: the part of the gates' names j."""
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    if hasattr(layer, "rnn"):
        kernel, cell = np.asarray(layer.kernel), layer.rnn.cell
        j = (x @ kernel + before @ np.asarray(cell.recurrent_kernel))[:, 4:8]
        j = (j - j.mean(axis=1, keepdims=True)) / j.std(axis=1, keepdims=True)
        return np.tanh(j * np.asarray(cell.gain)[1] + np.asarray(cell.shift)[1])
    kernel, recurrent, bias = layer.get_weights()
    return np.tanh((x @ kernel + before @ recurrent + bias)[:, 8:12])


def test_candidates_move_the_state():
    """c_t = f c_{t-1} + i g_t, with the gates open: c_n is the sum of the g_t."""
    encoder = encoders.LSTMMemory(4)
    encoder.build(FRAMES.shape)
    kernel, recurrent, bias = encoder.stack.layers[0].get_weights()
    for part in (kernel, recurrent):
        part[:, :8] = 0
    bias[:8] = 100  # gates i and f are 1
    encoder.stack.layers[0].set_weights([kernel, recurrent, bias])
    o, c, _, _ = np.split(np.asarray(encoder(FRAMES, MASK)), [4, 8, 12], axis=1)
    check_recurrent(o, normalized(c))


def test_released_code_sums_outputs():
    values = {"lstm_sum": "outputs", "released_code": False}
    code, same = (
        randomized(encoders.LSTMMemory(4, **given))
        for given in ({"released_code": True}, values)
    )
    np.testing.assert_array_equal(code(FRAMES, MASK), same(FRAMES, MASK))


def test_layer_norm_lstm_drops_candidates_in_training_only():
    encoder = encoders.LSTMMemory(4, layer_norm=True, dropout_rate=0.5)
    first, second = (np.asarray(encoder(FRAMES, MASK, training=True)) for _ in "ab")
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(encoder(FRAMES, MASK), encoder(FRAMES, MASK))


def test_temporal_cnn():
    encoder = randomized(encoders.TemporalCNN(num_channels=6, kernel_height=5))
    kernel, bias = (np.asarray(weight) for weight in encoder.conv.weights)
    result = encoder(FRAMES, MASK)
    for b, video in enumerate(VIDEOS):
        video = np.pad(video, ((0, max(5 - len(video), 0)), (0, 0)))
        windows = [video[t : t + 5] for t in range(len(video) - 4)]
        answers = [np.tensordot(window, kernel) + bias for window in windows]
        check_recurrent(result[b], np.maximum(answers, 0).max(axis=0))


def test_position_encoding():
    result = encoders.PositionEncoding()(FRAMES, MASK)
    for b, video in enumerate(VIDEOS):
        n, size = video.shape
        t, j = np.arange(1, n + 1)[:, None], np.arange(1, size + 1)
        weights = (1 - t / n) - (j / size) * (1 - 2 * t / n)
        check_recurrent(result[b], (weights * video).sum(axis=0))


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("post", ["none", "layer_norm_relu", "l2"])
def test_indirect_clustering(projection, post):
    encoder = randomized(encoders.IndirectClustering(projection, 0.1, post))
    result = encoder(FRAMES, MASK)
    for b, video in enumerate(VIDEOS):
        f = video
        if projection:
            kernel, bias = (np.asarray(w) for w in encoder.projection.weights)
            f = np.maximum(video @ kernel + bias, 0)
        x = reference.softmax(0.1 * (f @ f.T).sum(axis=1)) @ video
        if post == "layer_norm_relu":
            gain, shift = (np.asarray(w) for w in encoder.norm.weights)
            x = np.maximum((x - x.mean()) / x.std() * gain + shift, 0)
        check_recurrent(result[b], normalized(x) if post == "l2" else x)


def test_adaptive_noise():
    encoder = encoders.AdaptiveNoise(class_counts=(4, 1, 2, 0), seed=7)
    totals = FRAMES.sum(axis=1)
    check_recurrent(encoder(FRAMES, MASK), normalized(totals))
    check_recurrent(encoder(FRAMES, MASK, labels=LABELS), normalized(totals))
    check_recurrent(encoder(FRAMES, MASK, training=True), normalized(totals))
    gamma = [[(1 / 4 + 1 / 2) / 2], [1.0], [0.0]]
    check_recurrent(encoder.noise_scale(LABELS), gamma)
    seed = keras.random.SeedGenerator(7)
    for _ in range(2):  # new noise at each step
        noise = np.asarray(keras.random.normal(totals.shape, seed=seed))
        expected = normalized(totals + gamma * np.sqrt(LENGTHS)[:, None] * noise)
        check_recurrent(encoder(FRAMES, MASK, training=True, labels=LABELS), expected)


def test_the_model_gives_adaptive_noise_the_labels():
    encoder = encoders.AdaptiveNoise(class_counts=(1, 1, 1))
    model = models.VideoModel(models.MoeModel(3), encoder)
    batch = {"frames": FRAMES, "num_frames": np.array(LENGTHS), "labels": LABELS}
    trained = np.asarray(model(batch, training=True)["descriptor"])
    plain = np.asarray(model(batch)["descriptor"])
    assert (np.abs(trained - plain).max(axis=1) > 0.01).tolist() == [True, True, False]


def many_to_many(**kwargs):
    encoder = randomized(encoders.ManyToManyLSTM(4, **kwargs))
    classifier = models.LogisticModel(3)
    kernel, bias = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    classifier.build((None, 4))
    classifier.set_weights([kernel, bias])
    model = models.VideoModel(classifier, encoder)

    def scores(video):
        h, *_ = reference.lstm(normalized(video), encoder.stack.layers[0])
        return reference.sigmoid(h @ kernel + bias)

    return model, scores, reference.sigmoid(bias)


def predict(model, lengths):
    return model({"frames": FRAMES, "num_frames": np.array(lengths)})["predictions"]


def test_many_to_many():
    model, scores, _ = many_to_many()
    check_recurrent(
        predict(model, LENGTHS), [scores(video).mean(axis=0) for video in VIDEOS]
    )


def test_released_many_to_many_counts_padding():
    model, scores, of_padding = many_to_many(released_code=True, max_frames=12)
    expected = [
        (scores(video).sum(axis=0) + (12 - len(video)) * of_padding) / 12
        for video in VIDEOS
    ]
    check_recurrent(predict(model, LENGTHS), expected)
    check_recurrent(predict(model, (0, 0, 0)), [of_padding] * 3)


@pytest.mark.parametrize(
    "values, width",
    [
        ({"lstm_memory": "none"}, 2304),
        ({"lstm_memory": "none", "lstm_layers": 2}, 4608),
        ({"lstm_memory": "m"}, 3456),
        ({"lstm_memory": "m", "lstm_layers": 2}, 5760),
        ({}, 4608),
        ({"layer_norm": True}, 4608),
        ({"layer_norm": True, "released_code": True}, 3456),
    ],
)
def test_widths_of_the_paper(values, width):
    with tf.Graph().as_default():
        encoder = encoders.LSTMMemory(**values)
        assert encoder(tf.zeros((1, 2, 1152)), tf.ones((1, 2), bool)).shape[-1] == width


def test_counts_of_the_paper():
    shape = (None, None, 1152)
    with tf.Graph().as_default():
        memory, cnn = encoders.LSTMMemory(), encoders.TemporalCNN()
        memory.build(shape)
        cnn.build(shape)
        moe = models.MoeModel(4716)
        moe.build((None, 4608))
    assert models.count_parameters(memory) == 10_621_440
    assert models.count_parameters(moe) == 108_666_072
    assert models.count_parameters(cnn) == 368_704


def test_cnn_starts_like_tf1():
    """Glorot's fans of the kernel [5, D, 1, N]: 5 D and 5 D N."""
    encoder = encoders.TemporalCNN(num_channels=16)
    encoder.build((None, None, 48))
    limit = np.sqrt(6 / (5 * 48 * (1 + 16)))
    assert 0.97 * limit < np.abs(encoder.conv.kernel).max() <= limit


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: encoders.LSTMMemory(lstm_memory="o"), "--lstm_memory=o: must be none"),
        (lambda: encoders.LSTMMemory(lstm_sum="o"), "--lstm_sum=o: must be candidates"),
        (
            lambda: encoders.IndirectClustering(clustering_post="relu"),
            "--clustering_post=relu: must be none",
        ),
    ],
)
def test_unknown_choices_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
