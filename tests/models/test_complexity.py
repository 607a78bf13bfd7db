"""Parameter and operation counts: golden values and arithmetic by hand."""

import keras
import pytest
from keras import layers

from experiments.complexity import complexity
from xctrs_tf.layers.blocks import Style, u_conv
from xctrs_tf.models.complexity import layer_costs, trainable_parameters


def test_counts_at_full_size_are_golden():
    spadrnet, mulsisnet = complexity(128)
    # The paper's own numbers (Table 3), met to the last digit.
    assert mulsisnet["trainable_parameters"] == mulsisnet["paper_parameters"] == 4_410_136
    assert mulsisnet["profiler_flops"] == mulsisnet["paper_flops"] == 658_383_183_305
    # Not the paper's (Table 2): the regular design closest to them.
    assert spadrnet["trainable_parameters"] == 23_028_489
    assert spadrnet["profiler_flops"] == 216_502_498_249
    assert spadrnet["paper_parameters"] == 22_992_322
    assert spadrnet["paper_flops"] == 216_830_517_469


def test_a_convolution_by_hand():
    x = layers.Input((4, 5, 6, 2), batch_size=1)
    model = keras.Model(x, layers.Conv3D(3, (1, 3, 5), padding="same")(x))
    (cost,) = layer_costs(model)
    assert cost.flops == 4 * 5 * 6 * 3 * (2 * 2 * 15 + 1)
    assert cost.trainable_parameters == 2 * 3 * 15 + 3


def test_a_transposed_convolution_counts_only_in_full():
    x = layers.Input((4, 5, 6, 2), batch_size=1)
    model = keras.Model(x, u_conv(x, 4, Style(rank=3, normalization="group"), "u"))
    convolution, norm, activation = layer_costs(model)
    assert convolution.flops == 2 * (4 * 5 * 6) * 2 * 4 * 27
    assert convolution.profiler_flops == 3
    voxels = 8 * 10 * 12
    assert norm.flops == norm.profiler_flops == 6 * voxels * 4 + 4 * 4
    assert activation.flops == 3 * voxels * 4


def test_a_shared_model_is_counted_in_every_call_and_its_weights_once():
    x = layers.Input((4, 5, 1), batch_size=1)
    inner_input = layers.Input((4, 5, 1))
    inner = keras.Model(inner_input, layers.Conv2D(1, 3, padding="same", name="c")(inner_input))
    model = keras.Model(x, inner(inner(x)))
    costs = layer_costs(model)
    assert [cost.flops for cost in costs] == [4 * 5 * (2 * 9 + 1)] * 2
    assert sum(cost.trainable_parameters for cost in costs) == trainable_parameters(model) == 10


def test_an_unknown_layer_is_refused():
    x = layers.Input((4, 4, 1), batch_size=1)
    model = keras.Model(x, layers.GaussianNoise(0.1, name="noise")(x))
    with pytest.raises(TypeError, match=r"no operation count for GaussianNoise \(noise\)"):
        layer_costs(model)
