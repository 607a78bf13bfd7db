import h5py
import keras
import numpy as np
import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.losses.vgg16 import truncated_vgg16

LAYER = "block1_conv2"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """VGG16 of Keras with random weights, and its weight file."""
    network = keras.applications.VGG16(weights=None, include_top=False)
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
    network.save_weights(path)
    return network, path


def arrays_of(network):
    stored = {}
    for name in ("block1_conv1", LAYER):
        kernel, bias = network.get_layer(name).get_weights()
        stored |= {f"{name}/kernel": kernel, f"{name}/bias": bias + 0.5}
    return stored


def test_keras_file(published):
    network, path = published
    loaded = truncated_vgg16(str(path), LAYER)
    for name in ("block1_conv1", LAYER):
        expected = network.get_layer(name).get_weights()
        for value, reference in zip(loaded.get_layer(name).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(value, reference)


def test_npz_file(published, tmp_path):
    arrays = arrays_of(published[0])
    np.savez(tmp_path / "vgg.npz", **arrays)
    loaded = truncated_vgg16(tmp_path / "vgg.npz", LAYER)
    kernel, bias = loaded.get_layer(LAYER).get_weights()
    np.testing.assert_array_equal(kernel, arrays[f"{LAYER}/kernel"])
    np.testing.assert_array_equal(bias, arrays[f"{LAYER}/bias"])


def test_random_weights_are_he_normal_and_always_the_same():
    first, second = (truncated_vgg16("random", "block2_conv2") for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    kernel, bias = first.get_layer("block2_conv2").get_weights()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
    assert not bias.any()


def test_failed_download_names_the_flag_and_the_remedy(monkeypatch):
    def unreachable(weights, include_top):
        raise Exception("URL fetch failure on storage.googleapis.com: None -- timed out")

    monkeypatch.setattr(keras.applications, "VGG16", unreachable)
    remedy = r"download failed .*timed out.*--vgg_weights=FILE .* or --vgg_weights=random"
    with pytest.raises(UserError, match=remedy):
        truncated_vgg16("imagenet", LAYER)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: no such file; give --vgg_weights="):
        truncated_vgg16(tmp_path / "none.npz", LAYER)


def test_unknown_kind_of_file(tmp_path):
    (tmp_path / "vgg.pth").touch()
    with pytest.raises(UserError, match=r"vgg\.pth: neither \.weights\.h5 nor \.npz"):
        truncated_vgg16(tmp_path / "vgg.pth", LAYER)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04torn"])
@pytest.mark.parametrize("name", ["vgg.weights.h5", "vgg.h5", "vgg.npz"])
def test_broken_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: not (of Keras|an \.npz)"):
        truncated_vgg16(tmp_path / name, LAYER)


def test_file_of_another_network(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UserError, match="not of Keras's VGG16"):
        truncated_vgg16(tmp_path / "other.weights.h5", LAYER)


def test_keras_file_without_a_layer(published, tmp_path):
    path = tmp_path / "torn.weights.h5"
    path.write_bytes(published[1].read_bytes())
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_5"]
    with pytest.raises(UserError, match="not of Keras's VGG16"):
        truncated_vgg16(path, LAYER)


def test_npz_without_a_layer(published, tmp_path):
    arrays = arrays_of(published[0])
    del arrays[f"{LAYER}/bias"]
    np.savez(tmp_path / "vgg.npz", **arrays)
    with pytest.raises(UserError, match=f"{LAYER} is missing"):
        truncated_vgg16(tmp_path / "vgg.npz", LAYER)


def test_npz_of_other_shape(published, tmp_path):
    arrays = arrays_of(published[0])
    arrays[f"{LAYER}/kernel"] = arrays[f"{LAYER}/kernel"][:, :, :32]
    np.savez(tmp_path / "vgg.npz", **arrays)
    with pytest.raises(UserError, match=rf"{LAYER}/kernel is not \(3, 3, 64, 64\)"):
        truncated_vgg16(tmp_path / "vgg.npz", LAYER)


@pytest.mark.parametrize("layer", ["block3_pool", "block9_conv1", "input_layer"])
def test_layer_must_be_a_convolution(layer):
    with pytest.raises(UserError, match=f"--vgg_layer={layer}: not one of block1_conv1, "):
        truncated_vgg16("random", layer)
