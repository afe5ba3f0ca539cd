"""The golden cases of the winners' code: which frames a case reads."""

import tensorflow as tf

from tests.helpers.golden import assert_equal
from youtube8m.layers.inputs import frame_mask
from youtube8m.models.miech2017.whole_states import draw_sequence


def frames_of(case, encoder, inputs):
    """The frames that the case's random numbers choose, and their mask."""
    mask = frame_mask(case["num_frames"], inputs.shape[1])
    if "uniform" not in case:
        return inputs, mask
    indices = encoder.sample.indices(case["uniform"], case["num_frames"])
    assert_equal(indices, case["sampled_index"], "sampled_index")
    assert_equal(indices, case.outputs["gather_index"][..., 1], "gather_index")
    if case.meta["class"] in ("LstmModel", "GruModel"):
        return draw_sequence(inputs, mask, case["uniform"])
    chosen = tf.gather(inputs, indices, batch_dims=1)
    return chosen, tf.ones(chosen.shape[:2], tf.bool)
