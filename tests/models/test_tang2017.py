"""The models of Tang et al. against numpy, video by video."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import layers, reference
from tests.helpers.layers import count_built
from youtube8m import models
from youtube8m.config import DataConfig, ModelConfig, RunConfig
from youtube8m.errors import UserError
from youtube8m.models.base import CLASSIFIERS, ENCODERS
from youtube8m.registry import construct

RNG = np.random.default_rng(0)
SIZES = (4, 3)
LENGTHS = (28, 9, 4, 1)
MASK = np.arange(28)[None, :] < np.array(LENGTHS)[:, None]
X = (RNG.normal(size=(4, 28, 7)) * MASK[..., None]).astype(np.float32)
SMALL = {
    "feature_sizes": SIZES,
    "verticals": (0, 1, 2, 1),
    "lstm_cells": 5,
    "visual_lstm_cells": 5,
    "audio_lstm_cells": 2,
}


def randomized(name, **values):
    """An encoder with arbitrary weights."""
    encoder = construct(ENCODERS.get(name), SMALL | values)
    return layers.randomized(encoder, X.shape)


def encode(encoder, frames, mask):
    return encoder(*encoder.select(frames, mask))


# In numpy ---------------------------------------------------------------------------


def bilstm(x, stack):
    """Outputs [n, H] and last states [c_1, h_1, c_2, h_2 ...], both directions summed.

    The directions are stacks that do not see one another.
    """
    ((forward, backward),) = stack.levels
    there, back, states = x, x[::-1], []
    for one, other in zip(forward.layers, backward.layers, strict=True):
        there, h, c = reference.lstm(there, one)
        back, g, d = reference.lstm(back, other)
        states += [c + d, h + g]
    return there + back[::-1], np.concatenate(states)


def attended(x, head):
    h, _ = bilstm(x, head.bilstm)
    scores = np.tanh(h) @ np.asarray(head.attention.query)
    return np.tanh(reference.softmax(scores).T @ h)[0]


def windows(x, size):
    return [x[start : start + size] for start in range(0, len(x), size)]


def maxima(x, size):
    return np.array([window.max(axis=0) for window in windows(x, size)])


def cell_states(x, stack):
    """c of both directions summed, after each group of five."""
    states = [np.split(bilstm(group, stack)[1], 2) for group in windows(x, 5)]
    return np.array([c for c, _ in states])


def split_attention(encoder, x):
    visual, audio = np.split(x, [4], axis=1)
    return np.concatenate(
        [attended(visual, encoder.visual), attended(audio, encoder.audio)]
    )


def multi_attention(encoder, x):
    """The vectors of all verticals, concatenated."""
    if encoder.pool_size:
        x = maxima(bilstm(x, encoder.local)[0], encoder.pool_size)
    h, _ = bilstm(x, encoder.bilstm)
    queries = np.asarray(encoder.query).T
    if encoder.attention_score == "tanh-dense":
        scores = [np.tanh(h) @ query for query in queries]
    else:
        scores = [h @ np.diag(encoder.diagonal) @ query for query in queries]
    return np.concatenate([reference.softmax(score) @ h for score in scores])


def max_pool(encoder, x):
    return attended(
        maxima(bilstm(x, encoder.local)[0], encoder.pool_size), encoder.head
    )


def middle_frames(encoder, x):
    chosen = [window[len(window) // 2] for window in windows(x, 5)]
    return attended(np.array(chosen), encoder.head)


def hierarchical(encoder, x):
    groups = cell_states(x, encoder.frames)
    return attended(cell_states(groups, encoder.groups), encoder.head)


@pytest.mark.parametrize(
    "name, expected, values",
    [
        ("BiLSTM", lambda e, x: bilstm(x, e.bilstm)[1], {}),
        ("BiLSTM", lambda e, x: bilstm(x, e.bilstm)[1], {"lstm_layers": 2}),
        ("BiLSTMAttention", lambda e, x: attended(x, e.head), {"lstm_layers": 2}),
        ("SplitBiLSTMAttention", split_attention, {}),
        ("MultiAttentionBiLSTM", multi_attention, {}),
        (
            "MultiAttentionBiLSTM",
            multi_attention,
            {"attention_score": "tanh-dense", "pool_size": 3},
        ),
        ("MaxPoolBiLSTMAttention", max_pool, {}),
        ("MaxPoolBiLSTMAttention", max_pool, {"pool_size": 5}),
        ("RandomBiLSTMAttention", middle_frames, {"lstm_layers": 2}),
        ("HierarchicalBiLSTMAttention", hierarchical, {}),
    ],
)
def test_descriptors(name, expected, values):
    encoder = randomized(name, **values)
    result = encode(encoder, X, MASK)
    if name == "MultiAttentionBiLSTM":
        result = np.concatenate(result, axis=1)
    for row, x, length in zip(result, X, LENGTHS, strict=True):
        np.testing.assert_allclose(
            row, expected(encoder, x[:length]), rtol=2e-4, atol=2e-5
        )


# What released code does ------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "BiLSTMAttention",
        "SplitBiLSTMAttention",
        "MaxPoolBiLSTMAttention",
        "RandomBiLSTMAttention",
        "HierarchicalBiLSTMAttention",
    ],
)
def test_padding_counts_in_released_code_only(name):
    short, short_mask = X[2:, :5], MASK[2:, :5]
    for released in (False, True):
        encoder = randomized(name, released_code=released)
        same = np.allclose(
            encode(encoder, X[2:], MASK[2:]),
            encode(encoder, short, short_mask),
            atol=1e-6,
        )
        # Of less than five frames Random has no window, and zeros of any number.
        assert same is (not released or name == "RandomBiLSTMAttention")


def test_attention_without_a_query_is_the_mean():
    """In released code over all time steps: tanh(sum_t h_t / T) for every length."""
    for released in (False, True):
        encoder = randomized("BiLSTMAttention", released_code=released)
        encoder.head.attention.query.assign(np.zeros((5, 1)))
        total = np.asarray(encoder.head.bilstm(X, MASK)[0]).sum(axis=1)
        count = 28 if released else np.array(LENGTHS)[:, None]
        np.testing.assert_allclose(
            encoder(X, MASK), np.tanh(total / count), rtol=1e-4, atol=1e-6
        )


def test_released_random_windows_are_full_ones():
    encoder = randomized("RandomBiLSTMAttention", released_code=True)
    _, mask = encoder.select(X, MASK)
    np.testing.assert_array_equal(np.sum(mask, axis=1), [5, 1, 0, 0])
    result = encode(encoder, X, MASK)
    assert not np.any(result[2:]) and np.all(result[:2])


# The rest ---------------------------------------------------------------------------


def test_random_frames_are_drawn_in_training_only():
    encoder = randomized("RandomBiLSTMAttention")
    frames = np.arange(2 * 28, dtype=np.uint8).reshape(2, 28, 1)
    select = tf.function(
        lambda frames, mask: encoder.select(frames, mask, training=True),
        input_signature=[
            tf.TensorSpec([None, None, 1], tf.uint8),
            tf.TensorSpec([None, None], tf.bool),
        ],
    )
    first, second = (select(frames, MASK[:2]) for _ in range(2))
    assert np.any(first[0] != second[0])
    for chosen, real in (first, second):
        np.testing.assert_array_equal(np.sum(real, axis=1), [6, 2])
        np.testing.assert_array_equal(chosen[0, :, 0] // 5, range(6))
        assert np.all(chosen[1, :2, 0] < 28 + 9)
    middle, _ = encoder.select(frames, MASK[:2])
    np.testing.assert_array_equal(middle[0, :, 0], [2, 7, 12, 17, 22, 26])


def test_one_modality_is_refused_where_two_are_needed():
    data = DataConfig(("rgb",), (7,), True, num_classes=4)
    with pytest.raises(
        UserError, match=r"--feature_names: .* but 1 are given \(of sizes \(7,\)\)"
    ):
        models.create(RunConfig(data, ModelConfig("SplitBiLSTMAttention")))


def test_unknown_scores_are_refused():
    with pytest.raises(UserError, match="--attention_score=dense: must be tanh-dense"):
        randomized("MultiAttentionBiLSTM", attention_score="dense")


@pytest.mark.parametrize(
    "name, values, count",
    [
        ("SplitBiLSTMAttention", {}, 17_049_728),
        ("MaxPoolBiLSTMAttention", {}, 42_486_912),
        ("RandomBiLSTMAttention", {"lstm_layers": 4}, 84_972_672),
        ("HierarchicalBiLSTMAttention", {}, 63_729_792),
    ],
)
def test_counts_of_the_paper(name, values, count):
    facts = {"feature_sizes": (1024, 128)}
    encoder = construct(ENCODERS.get(name), facts | values)
    assert count_built(encoder, (None, None, 1152)) == count


def test_counts_of_multi_attention():
    """5,461,632 in the attention and the classifier together."""
    verticals = tuple(i % 25 for i in range(4716))
    encoder = construct(
        ENCODERS.get("MultiAttentionBiLSTM"),
        {"verticals": verticals, "lstm_cells": 1152, "attention_score": "tanh-dense"},
    )
    size = count_built(encoder, (None, None, 1152)) - 2 * 10_621_440
    facts = {"num_classes": 4716, "verticals": verticals, "vertical_bias": False}
    classifier = construct(CLASSIFIERS.get("PerVerticalModel"), facts)
    assert size + count_built(classifier, [(None, 1152)] * 25) == 5_461_632


def test_verticals_at_the_end_may_have_no_class():
    encoder = construct(
        ENCODERS.get("MultiAttentionBiLSTM"),
        {"verticals": (0, 1, 1), "num_verticals": 4, "lstm_cells": 3},
    )
    encoder.build((None, None, 5))
    assert encoder.query.shape == (3, 4)
