"""Parameter and operation counts: golden values and arithmetic by hand."""

import types

import keras
import pytest
from keras import layers

from experiments.studies.complexity import complexity, layer_table, network_layers, table
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.tables.paper import COUNTS
from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import u_conv
from xctrs_tf.layers.slice_difference import SliceDifference
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.compared.cs2net import ChannelAttention, PositionAttention
from xctrs_tf.models.compared.linear_resampling import LinearDownSampling3D, LinearUpSampling3D
from xctrs_tf.models.compared.sit import DoublingDepthwiseConv2D
from xctrs_tf.models.complexity import (
    layer_costs,
    network_costs,
    trainable_parameters,
    without_memory,
)


def test_counts_at_full_size_are_golden():
    rows = {row["name"]: row for row in complexity(128)}
    spadrnet, mulsisnet = rows["SpaDRNet"], rows["MulSISNet"]
    # Exactly the numbers of the paper (Table 3).
    assert mulsisnet["trainable_parameters"] == mulsisnet["paper_parameters"] == 4_410_136
    assert mulsisnet["profiler_flops"] == mulsisnet["paper_flops"] == 658_383_183_305
    # Close to the paper (Table 2), but not equal.
    assert spadrnet["trainable_parameters"] == 23_028_489
    assert spadrnet["profiler_flops"] == 216_502_498_249
    assert spadrnet["paper_parameters"] == 22_992_322
    assert spadrnet["paper_flops"] == 216_830_517_469
    # Within 1 % of the paper's Table 2, which does not describe the designs.
    for name in ("SIT", "PSR"):
        assert rows[name]["profiler_flops"] == pytest.approx(rows[name]["paper_flops"], rel=0.01)
    # The nearly constant difference in the compared rows of Table 3.
    for name in ("UNet3D", "DSN", "CS2Net", "ConResNet"):
        remainder = rows[name]["paper_flops"] - rows[name]["profiler_flops"]
        assert remainder == pytest.approx(357e9, rel=0.015), name
    assert len(table(list(rows.values())).splitlines()) == 1 + len(COUNTS)


def test_every_network_is_counted_beside_the_paper():
    assert set(COUNTS) == set(NETWORKS)


def test_the_layers_of_one_network_add_up_to_it():
    rows = network_layers("unet3d", 32)
    assert sum(row["trainable_parameters"] for row in rows) == 1_755_416
    assert rows[0]["name"] == "encoder_s1_1_conv"
    assert rows[0]["output_shape"] == (1, 32, 32, 32, 16)
    *_, total = layer_table(rows).splitlines()
    assert total.split()[:2] == ["total", "1,755,416"]


def test_the_costs_of_a_network_are_of_the_parts_that_are_asked_for():
    whole, inference, against = (
        network_costs("x2ctgan", 32, 1 / 16, **asked)
        for asked in ({}, {"training_heads": False}, {"discriminator": True})
    )
    factory = NETWORKS["x2ctgan"].factory
    model = without_memory(factory, size=32, width=1 / 16, batch_size=1, training_heads=True)
    parameters, fewer, others = (
        sum(cost.trainable_parameters for cost in costs) for costs in (whole, inference, against)
    )
    assert parameters == trainable_parameters(model) > fewer > 0
    assert others not in (parameters, fewer)
    assert set(inference) < set(whole)
    # Without such outputs there is one network.
    assert network_costs("sit", 32, 0.25) == network_costs("sit", 32, 0.25, training_heads=False)


def test_a_model_without_memory_has_the_same_counts():
    def factory(filters):
        x = layers.Input((8, 6, 2), batch_size=1)
        return keras.Model(x, layers.BatchNormalization(name="b")(layers.Conv2D(filters, 3)(x)))

    counted, real = without_memory(factory, filters=5), factory(filters=5)
    assert trainable_parameters(counted) == trainable_parameters(real) == 2 * 9 * 5 + 5 + 10
    assert layer_costs(counted)[1] == layer_costs(real)[1]


@pytest.mark.parametrize(
    ("layer", "shape", "flops", "profiler_flops"),
    [
        (layers.Dense(3), (4,), 3 * (2 * 4 + 1), None),
        (layers.BatchNormalization(), (4, 5, 2), 2 * 40 + 4 * 2, None),
        (layers.ReLU(), (4, 5, 2), 40, None),
        (layers.Activation("sigmoid"), (4, 5, 2), 4 * 40, 0),
        (layers.Activation("linear"), (4, 5, 2), 0, None),
        (layers.MaxPooling3D(2), (4, 6, 8, 2), 2 * 3 * 4 * 2 * 7, None),
        (layers.AveragePooling3D(2), (4, 6, 8, 2), 2 * 3 * 4 * 2 * 8, None),
        (layers.UpSampling3D(2), (4, 6, 8, 2), 0, None),
        (layers.GroupNormalization(2), (4, 5, 6, 2), 6 * 240 + 4 * 2, None),
        (layers.GlobalAveragePooling2D(), (4, 5, 2), 40, None),
        (DoublingDepthwiseConv2D(), (4, 5, 2), 8 * 10 * 2 * 16 * 2, None),
        # 3 a value after the first, second and third axis
        (LinearUpSampling3D(2), (4, 5, 6, 1), 3 * 120 * (2 + 4 + 8), None),
        # two products and a sum for each value after the first, second and third axis
        (LinearDownSampling3D(2), (4, 6, 8, 1), 3 * (2 * 6 * 8 + 2 * 3 * 8 + 2 * 3 * 4), None),
        (SliceDifference(), (4, 5, 6, 1), 2 * 120, None),
        # F F^T, its square, max - E, softmax, the weighted sum, gate and sum
        (ChannelAttention(), (4, 5, 6, 3), 2 * 9 * 120 + 54 + 18 + 45 + 18 * 120 + 720, None),
    ],
)
def test_layers_by_hand(layer, shape, flops, profiler_flops):
    x = layers.Input(shape, batch_size=1)
    (cost,) = layer_costs(keras.Model(x, layer(x)))
    assert cost.flops == flops
    assert cost.profiler_flops == (flops if profiler_flops is None else profiler_flops)


def test_attention_of_positions_by_hand():
    keys = [layers.Input((1, 2, 3, 2), batch_size=1) for _ in "qkj"]
    volumes = [layers.Input((1, 2, 3, 5), batch_size=1) for _ in "vx"]
    model = keras.Model([*keys, *volumes], PositionAttention()([*keys, *volumes]))
    (cost,) = layer_costs(model)
    products = 2 * 6 * 6 * 2 * 2 + 2 * 6**3  # Q K^T and J K^T; their product
    assert cost.flops == products + 5 * 36 + 2 * 36 * 5 + 2 * 30


def test_a_convolution_by_hand():
    x = layers.Input((4, 5, 6, 2), batch_size=1)
    model = keras.Model(x, layers.Conv3D(3, (1, 3, 5), padding="same")(x))
    (cost,) = layer_costs(model)
    assert cost.flops == 4 * 5 * 6 * 3 * (2 * 2 * 15 + 1)
    assert cost.trainable_parameters == 2 * 3 * 15 + 3


def test_a_convolution_with_standardised_weights_by_hand():
    x = layers.Input((4, 5, 6, 2), batch_size=1)
    model = keras.Model(x, WeightStandardizedConv3D(3, (1, 3, 5), padding="same")(x))
    (cost,) = layer_costs(model)
    # Of every filter the 30 weights' mean, difference, square, sum and quotient; then
    # the variance's quotient, sum and root.
    assert cost.flops == 4 * 5 * 6 * 3 * (2 * 30 + 1) + 3 * (5 * 30 + 3)
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
    with pytest.raises(UserError, match=r"no operation count for GaussianNoise \(noise\); add a"):
        layer_costs(model)


def test_an_unknown_layer_of_a_network_of_the_catalogue_is_named_with_it(monkeypatch):
    def factory(size, width, batch_size):
        x = layers.Input((size, size, size, 1), batch_size=batch_size)
        return keras.Model(x, layers.GaussianNoise(width, name="noise")(x))

    network = types.SimpleNamespace(factory=factory, training_heads=False)
    monkeypatch.setitem(NETWORKS, "noisy", network)
    with pytest.raises(UserError, match=r"^noisy: no operation count for GaussianNoise \(noise\)"):
        network_costs("noisy", 32)
