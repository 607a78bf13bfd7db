"""Kernels compiled with XLA give what the same kernels give without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.toys import CONFIG, SIZE, toy_batch, toy_networks
from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import seq_conv
from xctrs_tf.layers.convolutions import Convolution3D
from xctrs_tf.layers.kernels import compiled_kernels
from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.training.objective import make_objective
from xctrs_tf.training.step.optimizer import make_optimizer
from xctrs_tf.training.tensorflow import kernel_compiler
from xctrs_tf.training.tensorflow.kernel_compiler import KernelCompiler
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer


@pytest.fixture
def everything_compiled(monkeypatch):
    monkeypatch.setattr(kernel_compiler, "_COMPILED_VALUES", 1)


@pytest.mark.usefixtures("everything_compiled")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_compiled_layers_compute_the_same(policy):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3.0, 2.0, (2, 6, 5, 4, 8)), tf.float32)
    weight = tf.constant(rng.normal(size=x.shape), tf.float32)
    layers = [
        Convolution3D(8, 3, padding="same", dtype=policy, bias_initializer="ones"),
        FoldedGroupNormalization(groups=2, dtype=policy),
    ]
    model = keras.Sequential(layers)
    model.build(x.shape)

    @tf.function
    def values_and_gradients():
        with tf.GradientTape() as tape:
            y = tf.cast(model(x, training=True), tf.float32)
            loss = tf.reduce_sum(weight * y**2)
        return [y, *tape.gradient(loss, [v.value for v in model.trainable_variables])]

    plain = values_and_gradients()
    compiler = KernelCompiler()
    compiled = tf.function(values_and_gradients.python_function)
    with compiled_kernels(compiler):
        graph = compiled.get_concrete_function().graph
        results = compiled()
    # Forward and backward of the normalisation, and the bias.
    assert len(_compiled_functions(graph)) == 3
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for own, other in zip(results, plain, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(own / scale, other / scale, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("everything_compiled")
def test_compiled_sums_of_two_million_voxels_are_exact_to_the_last_digits():
    x = np.square(np.random.default_rng(0).random((1, 128, 128, 128, 2), np.float32))
    layer = FoldedGroupNormalization(groups=2, epsilon=1e-5)
    with compiled_kernels(KernelCompiler()):
        y = np.asarray(layer(x))
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=(1, 2, 3))
    exact /= np.sqrt(np.square(exact).mean(axis=(1, 2, 3)) + 1e-5)
    np.testing.assert_allclose(y, exact, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("everything_compiled")
def test_a_step_compiles_each_shape_once_and_has_the_same_losses():
    losses = {}
    for compiled in (True, False):
        trainer = Trainer(_networks(), make_objective(CONFIG), lambda: make_optimizer(CONFIG))
        if not compiled:
            trainer._kernels = (None, None)
        losses[compiled] = [
            float(trainer.train_step(toy_batch(), tf.constant(step))["loss"]) for step in range(3)
        ]
        graph = trainer.train_step.get_concrete_function(toy_batch(), tf.constant(0)).graph
        # Three layers of one shape: forward and backward of the normalisation, and the
        # gradients of the bias and of the activation.
        assert len(_compiled_functions(graph)) == (4 if compiled else 0)
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-5)


@pytest.mark.usefixtures("everything_compiled")
def test_kernels_are_compiled_while_the_step_is_traced(monkeypatch):
    compiled, original = [], kernel_compiler._run_on_zeros

    def run(kernel, specs):
        original(kernel, specs)
        compiled.append(kernel.name.decode())

    monkeypatch.setattr(kernel_compiler, "_run_on_zeros", run)
    trainer = Trainer(_networks(), make_objective(CONFIG), lambda: make_optimizer(CONFIG))
    trainer.trace(toy_batch())
    trainer._kernels[0]._thread.shutdown(wait=True)
    graph = trainer.train_step.get_concrete_function(toy_batch(), tf.constant(0)).graph
    assert sorted(compiled) == sorted(_compiled_functions(graph))


def _networks():
    networks = toy_networks(CONFIG)
    ct = keras.Input((SIZE, SIZE, SIZE, 1))
    style = Style(rank=3, normalization="group", channels_per_group=2)
    x = seq_conv(ct, (4, 4, 4), style, "sequence")
    segmentation = keras.layers.Dense(8, activation="softmax")(x)
    return {**networks, "segmentation": keras.Model(ct, segmentation)}


def _compiled_functions(graph):
    """Names of the functions in a graph that XLA compiles."""
    return {
        f.signature.name
        for f in graph.as_graph_def().library.function
        if f.attr["_XlaMustCompile"].b
    }
