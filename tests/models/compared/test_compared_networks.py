"""Tests of all compared networks."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.compared.narrow import (
    NAMES,
    RECONSTRUCTION,
    SEGMENTATION,
    WITH_TRAINING_HEADS,
    as_dict,
    inputs_of,
    narrow,
    shared,
    used,
)
from xctrs_tf.models.catalogue import RECONSTRUCTION_NETWORKS, SEGMENTATION_NETWORKS
from xctrs_tf.models.compared import (
    DSN,
    PSR,
    SIT,
    X2CTGAN,
    ConResNet,
    CS2Net,
    DenseBiasNet,
    UNet3D,
    X2CTDiscriminator,
    without_training_heads,
)
from xctrs_tf.models.complexity import trainable_parameters, without_memory

STATE_A = {"merge": False, "previous_bias": False, "learned_resampling": False}
HEADS = {"training_heads": True}
REDUCED = {"growth": 24, "shared_views": True, "decoder_filters": (8, 16, 32, 64, 128, 256)}


@pytest.mark.parametrize(
    ("factory", "arguments", "parameters"),
    [
        (SIT, {}, 8_354_112),
        (PSR, {}, 519_430_977),
        (X2CTGAN, HEADS, 61_740_467),
        (X2CTGAN, HEADS | REDUCED, 23_587_431),
        (X2CTDiscriminator, {}, 11_055_169),
        (UNet3D, {}, 1_755_416),
        (DSN, HEADS, 7_028_088),
        (DenseBiasNet, {}, 1_568_788),
        (DenseBiasNet, STATE_A, 1_529_240),
        (DenseBiasNet, STATE_A | {"bias_channels": 4}, 1_739_192),
        (DenseBiasNet, STATE_A | {"bias_rate": 0.05, "head_kernel_size": 1}, 1_558_744),
        (CS2Net, {}, 5_831_626),
        (ConResNet, HEADS, 19_175_488),
    ],
)
def test_parameters_are_golden(factory, arguments, parameters):
    assert trainable_parameters(without_memory(factory, **arguments)) == parameters


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 64])
def test_shapes(name, size):
    outputs = as_dict(narrow(name, size).output)
    if name in RECONSTRUCTION:
        expected = (None, size, size, size, 1)
    elif name in SEGMENTATION:
        expected = (None, size, size, size, 5)
    else:
        expected = (None, *({32: 7, 64: 11}[size],) * 3, 1)
    assert {tuple(output.shape) for output in outputs.values()} == {expected}
    assert {output.dtype for output in outputs.values()} == {"float32"}


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name):
    model = narrow(name)
    for variable in model.trainable_variables:
        if variable.path.endswith("gate"):  # gates start at 0, where the gradient behind them is 0
            variable.assign(0.5)
    rng = np.random.default_rng(1)
    with tf.GradientTape() as tape:
        outputs = as_dict(model(inputs_of(name), training=True))
        loss = sum(
            tf.reduce_sum(output * rng.normal(size=output.shape).astype(np.float32))
            for output in outputs.values()
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients = {v.path: g for v, g in zip(model.trainable_variables, gradients, strict=True)}
    assert [path for path, gradient in gradients.items() if gradient is None] == []
    # A bias before a normalisation has no effect.
    kernels = {path: g for path, g in gradients.items() if not path.endswith("bias")}
    assert [path for path, g in kernels.items() if np.max(np.abs(g)) < 1e-6] == []


@pytest.mark.parametrize("name", NAMES)
def test_saves_and_loads(name, tmp_path):
    model = shared(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = inputs_of(name, batch=1)
    before, after = as_dict(model(inputs)), as_dict(loaded(inputs))
    assert before.keys() == after.keys()
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])


def before_activation(model):
    """Return a model of what enters the outputs' softmax, sigmoid or identity.

    Where those are steep, as in an untrained ConResNet, they enlarge rounding errors.
    """
    outputs = [model.get_layer(name).input for name in sorted(model.output_names)]
    return keras.Model(model.input, outputs)


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_gives_float32_close_to_full_precision(name):
    inputs = inputs_of(name, batch=1)
    full = shared(name)
    # float16 is the type that can overflow, but TensorFlow has no 3D max pooling of
    # float16 on CPUs.
    pools = any(isinstance(layer, keras.layers.MaxPooling3D) for layer in full.layers)
    keras.config.set_dtype_policy("mixed_bfloat16" if pools else "mixed_float16")
    mixed = narrow(name)
    mixed.set_weights(full.get_weights())
    for key, output in as_dict(mixed(inputs)).items():
        assert output.dtype == "float32"
        if key == "segmentation" or (name in SEGMENTATION and key == "output"):
            np.testing.assert_allclose(np.sum(output, axis=-1), 1.0, atol=1e-5)
    for expected, actual in zip(
        before_activation(full)(inputs), before_activation(mixed)(inputs), strict=True
    ):
        expected, actual = (np.ravel(each).astype(np.float32) for each in (expected, actual))
        assert np.corrcoef(expected, actual)[0, 1] > 0.99


@pytest.mark.parametrize("name", WITH_TRAINING_HEADS)
def test_the_network_in_use_is_the_trained_one_without_its_heads(name):
    trained = shared(name)
    in_use = without_training_heads(trained)
    inputs = inputs_of(name, batch=1)
    np.testing.assert_array_equal(in_use(inputs), used(trained(inputs)))
    assert in_use.count_params() == narrow(name, training_heads=False).count_params()
    assert in_use.count_params() < trained.count_params()
    assert without_training_heads(in_use) is in_use


@pytest.mark.parametrize("name", ["sit", "densebiasnet"])
def test_exports(name, tmp_path):
    model = shared(name)
    model.export(tmp_path / "exported", verbose=False)
    inputs = inputs_of(name, batch=1)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(inputs), model(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*RECONSTRUCTION, *SEGMENTATION])
def test_docstring_names_the_reference_and_its_licence(name):
    text = (RECONSTRUCTION | SEGMENTATION)[name].__doc__
    for word in ("Reference:", "Licence", "independent"):
        assert word in text
    assert ("patent" in text) == (name == "psr")


@pytest.mark.parametrize("name", NAMES)
def test_unsupported_size_is_refused(name):
    with pytest.raises(ValueError, match=r"size must be one of \(32, 64, 128\), not 48"):
        narrow(name, 48)


def test_the_catalogue_has_every_network():
    assert RECONSTRUCTION_NETWORKS == ("spadrnet", "sit", "psr", "x2ctgan")
    assert set(SEGMENTATION_NETWORKS) == {
        "mulsisnet", "unet3d", "dsn", "densebiasnet", "cs2net", "conresnet",
    }  # fmt: skip


def test_a_network_of_one_view_looks_at_ap_alone():
    model = shared("sit")
    films, others = inputs_of("sit"), inputs_of("sit", seed=2)
    before = model(films)
    np.testing.assert_array_equal(before, model({"ap": films["ap"], "la": others["la"]}))
    assert np.max(np.abs(before - model({"ap": others["ap"], "la": films["la"]}))) > 1e-3


@pytest.mark.parametrize("name", ["sit", "psr"])
def test_slices_as_channels_run_along_y(name):
    model = narrow(name)
    bias = np.arange(32, dtype=np.float32)
    kernel, _ = model.get_layer("slices_conv").get_weights()
    model.get_layer("slices_conv").set_weights([np.zeros_like(kernel), bias])
    ct = np.asarray(model(inputs_of(name, batch=1)))
    np.testing.assert_array_equal(ct[0, 3, :, 5, 0], bias)
    np.testing.assert_array_equal(ct[0, :, 7, :, 0], np.full((32, 32), 7))


def test_every_convolution_of_psr_has_a_bias_and_its_2d_transform_a_normalisation():
    model = shared("psr")
    kernels = [v.path for v in model.trainable_variables if v.path.endswith("/kernel")]
    biases = {v.path for v in model.trainable_variables if v.path.endswith("/bias")}
    assert [path for path in kernels if path.replace("/kernel", "/bias") not in biases] == []
    following = model.get_layer("transform2d_norm")
    assert isinstance(following, keras.layers.BatchNormalization)
    assert following.input is model.get_layer("transform2d_conv").output


def test_sit_has_values_below_0_and_takes_the_film_at_its_full_size():
    model = shared("sit")
    assert np.min(model(inputs_of("sit"))) < 0
    assert model.get_layer("stem_conv").output.shape[1:3] == (32, 32)
    biases = [v.path for v in model.trainable_variables if v.path.endswith("/bias")]
    assert biases == ["out_conv/bias", "slices_conv/bias"]


def test_views_can_share_their_weights():
    separate, together = narrow("x2ctgan"), narrow("x2ctgan", shared_views=True)
    fused = [v for v in separate.trainable_variables if v.path.startswith(("fused", "code_up"))]
    own = trainable_parameters(separate) - sum(np.prod(v.shape) for v in fused)
    assert trainable_parameters(separate) - trainable_parameters(together) == own / 2
    # With equal weights, separate encoders compute the same as a shared one.
    for layer in separate.layers:
        twin = layer.name.removeprefix("ap_").removeprefix("la_")
        twin = f"views_{twin}" if twin != layer.name else layer.name
        if layer.weights:
            layer.set_weights(together.get_layer(twin).get_weights())
    films = inputs_of("x2ctgan")
    actual = separate(films)
    for key, expected in together(films).items():
        np.testing.assert_allclose(actual[key], expected, rtol=1e-3, atol=1e-4)


# getrusage would start at the peak of the parent process, and never rise above it.
_PEAK = r"""
import pathlib, re
import xctrs_tf
from xctrs_tf.models.compared import PSR, UNet3D
from xctrs_tf.models.complexity import trainable_parameters, without_memory

def peak():
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024

before = peak()
psr = without_memory(PSR, batch_size=1)
assert trainable_parameters(psr) == 519_430_977
UNet3D(32, width=0.25)  # building another network gives PSR no values either
print(peak() - before)
"""


def test_counting_takes_no_memory_for_the_weights():
    counted = subprocess.run(
        [sys.executable, "-c", _PEAK], check=True, capture_output=True, encoding="utf-8"
    )
    weights_mb = 519_430_977 * 4 / 2**20
    assert int(counted.stdout.split()[-1]) < 0.1 * weights_mb
