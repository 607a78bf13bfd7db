"""Rematerialised networks give the same gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import seq_conv
from xctrs_tf.layers.multiscale import hierarchical_decoder, multi_path_encoder
from xctrs_tf.layers.view_alignment import align_views, pixel_shuffle
from xctrs_tf.models import MulSISNet
from xctrs_tf.training.step.rematerialisation import Rematerialised

_CONVOLUTIONS = (layers.Conv2D, layers.Conv3D, layers.Conv3DTranspose)


def _network():
    """Return a small network from films to a volume with the layers of both networks."""
    film = layers.Input((8, 8, 1), name="film")
    flat = Style(rank=2, normalization="instance")
    encoder = keras.Model(film, pixel_shuffle(seq_conv(film, (4, 16), flat, "flat"), 8, "deep"))
    films = {view: layers.Input((8, 8, 1), name=view) for view in ("ap", "la")}
    both = encoder(ops.concatenate([films["ap"], films["la"]], axis=0))
    volume = align_views(*ops.split(both, 2, axis=0), "align")
    style = Style(rank=3, normalization="group")
    paths = [[(4, 4), (4, 4)], [(8, 8)]]
    x = hierarchical_decoder(multi_path_encoder(volume, paths, style, "path"), style, "decoder")
    return keras.Model(films, layers.Conv3D(2, 1, name="head")(x))


def _inputs():
    rng = np.random.default_rng(0)
    return {view: tf.constant(rng.random((3, 8, 8, 1), np.float32)) for view in ("ap", "la")}


def _traced_gradients(called, network, training):
    @tf.function
    def gradients(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(called(inputs, training=training)))
        weights = [v.value for v in network.trainable_variables]
        return loss, tape.gradient(loss, [*inputs.values(), *weights])

    return gradients.get_concrete_function(_inputs())


@pytest.mark.parametrize("learns", [True, False], ids=["learns", "frozen"])
def test_gradients_are_those_of_the_network_and_convolutions_run_again(learns):
    network = _network()
    network.trainable = learns
    kept, again = (
        _traced_gradients(called, network, learns) for called in (network, Rematerialised(network))
    )
    loss, expected = kept(_inputs())
    of_again, found = again(_inputs())
    assert float(of_again) == pytest.approx(float(loss), rel=1e-6)
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in expected)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5 * largest)
    counts = [
        [op.type for op in function.graph.get_operations()].count("Conv3D")
        for function in (kept, again)
    ]
    assert counts[1] >= 2 * counts[0] - 1


@pytest.mark.parametrize("make", [_network, lambda: MulSISNet(size=32, width=0.25)])
def test_every_convolution_is_in_one_stage_of_few(make):
    network = make()
    convolutions = [
        [layer for layer in stage.model.layers if isinstance(layer, _CONVOLUTIONS)]
        for stage in Rematerialised(network)._stages
    ]
    in_stages = [id(layer) for stage in convolutions for layer in stage]
    expected = [id(layer) for layer in network.layers if isinstance(layer, _CONVOLUTIONS)]
    assert sorted(in_stages) == sorted(expected)
    assert sum(len(stage) > 4 for stage in convolutions) <= len(convolutions) / 4


def test_a_network_with_two_outputs_and_shared_features():
    x = layers.Input((4,), name="x")
    shared = layers.ReLU()(layers.Dense(3)(x))
    outputs = {"a": layers.Dense(2)(shared), "b": layers.Dense(5)(shared)}
    network = keras.Model({"x": x}, outputs)
    inputs = {"x": tf.constant(np.random.default_rng(1).random((2, 4), np.float32))}
    expected, found = network(inputs), Rematerialised(network)(inputs, training=True)
    assert found.keys() == {"a", "b"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


def test_dropout_runs_once():
    x = layers.Input((64,))
    network = keras.Model(x, layers.Dropout(0.5)(layers.Dense(64)(x)))
    called, ones = Rematerialised(network), tf.ones((1, 64))
    (seed,) = network.non_trainable_variables

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(called(ones, training=True) ** 2)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    before = seed.numpy()
    network(ones, training=True)
    once = seed.numpy()
    assert (once != before).any()
    seed.assign(before)
    gradients()
    np.testing.assert_array_equal(seed.numpy(), once)


def test_layers_with_state_run_once():
    x = layers.Input((4,))
    network = keras.Model(x, layers.BatchNormalization(momentum=0.5)(layers.Dense(3)(x)))
    batch = tf.constant(np.random.default_rng(2).random((8, 4), np.float32))
    called = Rematerialised(network)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(called(batch, training=True) ** 3)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    mean = network.layers[1](batch).numpy().mean(axis=0)
    gradients()
    moving = network.layers[2].moving_mean
    np.testing.assert_allclose(moving, 0.5 * mean, rtol=1e-4, atol=1e-6)
