"""Blocks of the paper: shapes, parameter counts, and the equivalent forms of block U."""

import keras
import numpy as np
import pytest
from keras import layers

from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import d_conv, down, seq_conv, u_conv, up

SPATIAL = {2: (8, 16), 3: (8, 16, 24)}
STYLES = {
    2: Style(rank=2, normalization="instance"),
    3: Style(rank=3, normalization="group"),
}


def _build(block, rank, channels, **kwargs):
    x = layers.Input((*SPATIAL[rank], channels))
    return keras.Model(x, block(x, style=STYLES[rank], name="b", **kwargs))


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize(
    ("block", "kwargs", "factor", "filters", "parameters"),
    [
        # two convolutions with bias, each followed by gamma and beta
        (seq_conv, {"filters": (8, 12)}, 1, 12, lambda k: 4 * 8 * k + 8 * 3 + 8 * 12 * k + 12 * 3),
        (d_conv, {"filters": 8}, 1 / 2, 8, lambda k: 4 * 8 * k),
        (down, {"filters": 8, "steps": 1}, 1 / 2, 8, lambda k: 4 * 8 * k),
        # the number of channels changes in the last convolution
        (down, {"filters": 8, "steps": 3}, 1 / 8, 8, lambda k: 2 * 4 * 4 * k + 4 * 8 * k),
        (up, {"filters": 8, "steps": 2}, 4, 8, lambda k: 4 * 8 + 8 * 2),
        (u_conv, {"filters": 8}, 2, 8, lambda k: 4 * 8 * k + 8 * 2),
    ],
)
def test_shape_and_parameters(rank, block, kwargs, factor, filters, parameters):
    model = _build(block, rank, channels=4, **kwargs)
    assert model.output.shape[1:] == (*(int(n * factor) for n in SPATIAL[rank]), filters)
    assert model.count_params() == parameters(3**rank)


@pytest.mark.parametrize("rank", [2, 3])
def test_several_steps_down_have_no_activation(rank):
    kinds = [type(layer).__name__ for layer in _build(down, rank, 4, filters=8, steps=2).layers[1:]]
    assert kinds == [f"Convolution{rank}D"] * 2
    kinds = [type(layer).__name__ for layer in _build(down, rank, 4, filters=8, steps=1).layers[1:]]
    assert kinds == [f"Convolution{rank}D", "LeakyReLU"]


def test_u_at_the_low_resolution_is_u_at_the_high_one():
    model = _build(up, 3, 4, filters=8, steps=1)
    x = np.random.default_rng(0).normal(size=(1, *SPATIAL[3], 4)).astype(np.float32)
    convolution, norm, nearest = model.layers[1:]
    np.testing.assert_allclose(model(x), norm(convolution(nearest(x))), rtol=1e-4, atol=1e-4)


def test_style_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="rank must be 2 or 3, not 1"):
        Style(rank=1, normalization="group")
    with pytest.raises(ValueError, match="normalization must be"):
        Style(rank=2, normalization="layer")
