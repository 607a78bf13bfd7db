"""The layers that only the compared networks have: values by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from xctrs_tf.layers.basic_layers import Style, convolution, transposed_convolution
from xctrs_tf.layers.blocks import conv_norm_act, norm_act_conv, residual
from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.layers.slice_difference import slice_difference
from xctrs_tf.layers.view_alignment import align_view, repeat_along_rays, view_of
from xctrs_tf.models.compared.cs2net import ChannelAttention, PositionAttention
from xctrs_tf.models.compared.sit import DoublingDepthwiseConv2D

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.normal(size=shape).astype("float32")


def test_slice_difference_runs_along_z():
    x = random(2, 3, 4, 5, 2)
    y = np.asarray(slice_difference(x))
    np.testing.assert_array_equal(y[:, :, :, 0], 0.0)
    np.testing.assert_allclose(y[:, :, :, 3], np.abs(x[:, :, :, 3] - x[:, :, :, 2]))


def test_doubling_is_the_transposed_convolution_of_each_channel():
    layer = DoublingDepthwiseConv2D()
    x = random(2, 3, 5, 4)
    y = layer(x)
    assert y.shape == (2, 6, 10, 4)
    kernel = np.asarray(layer.kernel)[::-1, ::-1]  # (4, 4, channels, 1)
    for channel in range(4):
        expected = tf.nn.conv2d_transpose(
            x[..., channel : channel + 1], kernel[:, :, channel : channel + 1], (2, 6, 10, 1), 2
        )
        np.testing.assert_allclose(y[..., channel], expected[..., 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "padding"), [(3, 1), (3, 0), (4, 1)])
def test_transposed_convolution_loses_the_given_number_of_values_before(kernel_size, padding):
    inputs = keras.Input((3, 4, 2))
    style = Style(rank=2, normalization="instance")
    outputs = transposed_convolution(
        inputs, 5, style, "up", kernel_size=kernel_size, padding=padding
    )
    model = keras.Model(inputs, outputs)
    kernel, _ = model.get_layer("up").get_weights()  # (rows, columns, output, input)
    x = random(1, 3, 4, 2)
    whole = np.zeros((6 + kernel_size, 8 + kernel_size, 5))
    for row, column in np.ndindex(3, 4):
        spread = np.einsum("rcoi,i->rco", kernel, x[0, row, column])
        whole[2 * row :, 2 * column :][:kernel_size, :kernel_size] += spread
    expected = whole[padding : padding + 6, padding : padding + 8]
    np.testing.assert_allclose(model(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_attention_starts_as_the_identity():
    q, k, j = (random(1, 2, 3, 4, 2) for _ in range(3))
    v, x = random(1, 2, 3, 4, 5), random(1, 2, 3, 4, 5)
    np.testing.assert_array_equal(PositionAttention()([q, k, j, v, x]), x)
    np.testing.assert_array_equal(ChannelAttention()(x), x)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_view_of_undoes_align_view(view):
    x = random(1, 3, 4, 5, 2)
    volume = align_view(x, view, "there")
    assert volume.shape == {"ap": (1, 3, 5, 4, 2), "la": (1, 5, 3, 4, 2)}[view]
    np.testing.assert_array_equal(view_of(volume, view, "back"), x)


def test_films_are_repeated_along_the_rays():
    film = random(2, 3, 4, 5)
    volume = np.asarray(repeat_along_rays(film, 6, "r"))
    assert volume.shape == (2, 3, 4, 6, 5)
    np.testing.assert_array_equal(volume[:, :, :, 4], film)


def test_normalisation_without_gain_and_offset():
    x = 3.0 + 2.0 * random(2, 4, 5, 6, 3)
    layer = FoldedGroupNormalization(groups=3, epsilon=1e-5, center=False, scale=False)
    y = np.asarray(layer(x))
    assert layer.weights == []
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2, 3)), 1.0, rtol=1e-3)


def test_normalisation_with_an_offset_alone():
    layer = FoldedGroupNormalization(groups=3, scale=False)
    layer.build((1, 4, 5, 6, 3))
    layer.beta.assign([1.0, 2.0, 3.0])
    y = np.asarray(layer(random(1, 4, 5, 6, 3)))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2, 3)), [1.0, 2.0, 3.0], atol=1e-5)


def kinds(style, block, **options):
    x = layers.Input((8, 6, 4, 12)[-1 - style.rank :])
    return keras.Model(x, block(x, 12, style, "b", **options)).layers[1:]


def test_styles_choose_their_layers():
    batch = Style(rank=2, normalization="batch", negative_slope=0.0)
    names = [type(layer).__name__ for layer in kinds(batch, conv_norm_act)]
    assert names == ["Convolution2D", "BatchNormalization", "ReLU"]
    groups = Style(rank=3, normalization="group", num_groups=8)
    norm, activation, conv = kinds(groups, norm_act_conv, dilation_rate=2)
    assert norm.groups == 4  # the largest that divides 8 groups and 12 channels
    assert type(activation).__name__ == "LeakyReLU"
    assert conv.dilation_rate == (2, 2, 2)


@pytest.mark.parametrize("activation", [True, False])
def test_a_residual_block_adds_its_branch_to_its_input_or_shortcut(activation):
    style = Style(rank=3, normalization="batch", negative_slope=0.0)
    x = random(1, 2, 3, 4, 2)
    y = residual(x, lambda x: -3.0 * x, style, "b", activation=activation)
    np.testing.assert_allclose(y, np.maximum(-2 * x, 0) if activation else -2 * x, rtol=1e-6)
    wider = layers.Input((2, 3, 4, 2))
    y = residual(
        wider,
        lambda x: convolution(x, 5, style, "branch"),
        style,
        "b",
        shortcut=lambda x: convolution(x, 5, style, "shortcut", kernel_size=1),
    )
    assert y.shape == (None, 2, 3, 4, 5)
