"""X2CT-GAN: where its networks pad, and their initial weights."""

import keras
import numpy as np
import pytest

from tests.models.compared.narrow import narrow, shared
from xctrs_tf.models.compared import X2CTDiscriminator
from xctrs_tf.models.complexity import without_memory

DOWN = [f"{view}_encoder_block{step}_down" for view in ("ap", "la") for step in (1, 4)]
UP = [f"{branch}_s{1 << level}_up" for branch in ("ap", "la", "fused") for level in (0, 3)]


def _part(model, first, last):
    """Return the layers from one to another as a model."""
    return keras.Model(model.get_layer(first).input, model.get_layer(last).output)


def _middle_alone(layer):
    """Make a convolution copy the value under the middle of its kernel."""
    kernel, bias = layer.get_weights()
    middle = tuple(length // 2 for length in layer.kernel_size)
    kernel[:] = 0.0
    kernel[middle] = np.eye(*kernel[middle].shape)
    layer.set_weights([kernel, np.zeros_like(bias)])


@pytest.fixture(scope="module")
def generator():
    model = narrow("x2ctgan")
    for name in (*DOWN, *UP):
        _middle_alone(model.get_layer(f"{name}_conv"))
    return model


@pytest.mark.parametrize("name", DOWN)
def test_generator_halves_around_the_first_pixel(generator, name):
    part = _part(generator, f"{name}_conv_padding", f"{name}_conv")
    x = np.random.default_rng(0).normal(size=(1, *part.input_shape[1:])).astype("float32")
    np.testing.assert_array_equal(part(x), x[:, ::2, ::2])


@pytest.mark.parametrize("name", UP)
def test_generator_doubles_from_the_first_voxel(generator, name):
    part = _part(generator, f"{name}_conv", f"{name}_conv_cropping")
    x = np.random.default_rng(0).normal(size=(1, *part.input_shape[1:])).astype("float32")
    y = np.array(part(x))
    channels = min(x.shape[-1], y.shape[-1])
    np.testing.assert_array_equal(y[:, ::2, ::2, ::2, :channels], x[..., :channels])
    y[:, ::2, ::2, ::2] = 0.0
    assert not y.any()


def test_discriminator_pads_alike_at_both_ends():
    part = _part(narrow("x2ct_discriminator"), "layer1_conv_padding", "layer1_conv")
    kernel, bias = part.layers[-1].get_weights()
    part.layers[-1].set_weights([np.ones_like(kernel), np.zeros_like(bias)])
    # Of the 4 voxels under the kernel the outermost scores see 2 along every axis.
    seen = np.full(17, 4.0)
    seen[[0, -1]] = 2.0
    expected = 3 * seen[:, None, None] * seen[:, None] * seen
    np.testing.assert_array_equal(part(np.ones((1, 32, 32, 32, 3)))[0, ..., 0], expected)


def test_discriminator_scores_19_patches_a_side_at_the_published_size():
    model = without_memory(X2CTDiscriminator, size=128, width=1 / 16)
    assert model.output_shape == (None, 19, 19, 19, 1)


@pytest.mark.parametrize("name", ["x2ctgan", "x2ct_discriminator"])
def test_weights_begin_as_published(name):
    variables = shared(name).trainable_variables
    assert all(not np.any(v) for v in variables if v.path.endswith("bias"))
    kernels = [np.asarray(v) for v in variables if v.path.endswith("kernel")]
    values = np.concatenate([kernel.ravel() for kernel in kernels])
    assert np.std(values) == pytest.approx(0.02, rel=0.02)
    # A tenth of the values of a normal distribution are beyond 1.645 standard deviations.
    assert np.mean(np.abs(values) > 0.0329) == pytest.approx(0.1, rel=0.05)
    for kernel in kernels:
        assert np.std(kernel) == pytest.approx(0.02, rel=4 / np.sqrt(kernel.size))
    assert len({float(kernel.ravel()[0]) for kernel in kernels}) == len(kernels)
