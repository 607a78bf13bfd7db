"""Weights by the names of the layers."""

import keras
import numpy as np
import pytest
from keras import layers

from xctrs_tf.errors import UserError
from xctrs_tf.models.spadrnet import SpaDRNet
from xctrs_tf.models.weight_sources import find_weights, load_sources
from xctrs_tf.models.weights import load_weights_by_name, save_weights
from xctrs_tf.pretrained import EXPORTED_WEIGHTS


def network(name, filters=3, classes=2, more=False):
    """Return a network of two or three layers, whose kernels are random."""
    inputs = layers.Input((4,))
    x = layers.Dense(filters, name="stem")(inputs)
    if more:
        x = layers.Dense(filters, name="more")(x)
    return keras.Model(inputs, layers.Dense(classes, name="head")(x), name=name)


def composed(*networks):
    inputs = layers.Input((4,))
    return keras.Model(inputs, [each(inputs) for each in networks], name="composed")


def weights_of(model, layer):
    return model.get_layer(layer).get_weights()


@pytest.fixture
def source():
    return network("first"), network("second")


def test_a_numpy_file_has_every_weight(source, tmp_path):
    save_weights(tmp_path / "w.npz", source)
    copies = network("first"), network("second")
    (first, second) = load_weights_by_name(composed(*copies), tmp_path / "w.npz")
    assert (first.loaded, first.missing, first.misshapen) == (("stem", "head"), (), ())
    assert second.network == "second"
    for original, copy in zip(source, copies, strict=True):
        for a, b in zip(original.get_weights(), copy.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_two_weights_of_one_name_are_refused(source, tmp_path):
    inputs = layers.Input((4,))
    nested = keras.Model(inputs, [each(inputs) for each in source], name="nested")
    with pytest.raises(UserError, match="two weights are called nested/stem/kernel; name networks"):
        save_weights(tmp_path / "w.npz", [nested])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["w.npz", "w.weights.h5"])
def test_an_encoder_for_each_view_keeps_its_own_weights(name, tmp_path):
    original, copy = (SpaDRNet(32, 1 / 16, shared_encoder=False) for _ in range(2))
    if name == "w.npz":
        save_weights(tmp_path / name, [original])
    else:
        original.save_weights(tmp_path / name)
    (found,) = load_weights_by_name(copy, tmp_path / name)
    assert found.loaded and not found.missing + found.misshapen
    for a, b in zip(original.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_float16_rounds_once(source, tmp_path):
    save_weights(tmp_path / "w.npz", source, np.float16)
    copy = network("first")
    load_weights_by_name(copy, tmp_path / "w.npz")
    for a, b in zip(source[0].get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(a.astype(np.float16).astype(np.float32), b)


def test_keras_file_of_a_whole_model_into_another_graph(source, tmp_path):
    composed(*source).save_weights(tmp_path / "m.weights.h5")
    longer = network("second", more=True)
    (found,) = load_weights_by_name(longer, tmp_path / "m.weights.h5")
    assert (found.loaded, found.missing) == (("stem", "head"), ("more",))
    assert str(found) == "second: 2 of 3 layers loaded; not in the file: more"
    for layer in ("stem", "head"):
        for a, b in zip(weights_of(source[1], layer), weights_of(longer, layer), strict=True):
            np.testing.assert_array_equal(a, b)


def test_keras_file_of_one_network_into_a_whole_model(source, tmp_path):
    source[1].save_weights(tmp_path / "s.weights.h5")
    copies = network("first"), network("second")
    before = copies[0].get_weights()
    first, second = load_weights_by_name(composed(*copies), tmp_path / "s.weights.h5")
    assert not first.loaded and second.loaded == ("stem", "head")
    for a, b in zip(before, copies[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_head_of_other_classes_is_named(source, tmp_path):
    save_weights(tmp_path / "w.npz", source)
    (found,) = load_weights_by_name(network("first", classes=5), tmp_path / "w.npz")
    assert (found.loaded, found.misshapen) == (("stem",), ("head",))
    assert "of other shapes: head" in str(found)


def test_another_width_is_refused_and_nothing_is_set(source, tmp_path):
    save_weights(tmp_path / "w.npz", source)
    wide = network("first", filters=7, more=True)
    before = wide.get_weights()
    with pytest.raises(UserError, match="nothing in it fits"):
        load_weights_by_name(wide, tmp_path / "w.npz")
    for a, b in zip(before, wide.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_mostly_other_shapes_are_another_width(source, tmp_path):
    inputs = layers.Input((4,))
    x = layers.Dense(3, name="stem")(inputs)
    wide = keras.Model(
        inputs,
        [layers.Dense(9, name="head")(x), layers.Dense(9, name="more")(x)],
        name="first",
    )
    save_weights(tmp_path / "w.npz", [network("first", more=True)])
    with pytest.raises(UserError, match=r"of another size or width .*head, more"):
        load_weights_by_name(wide, tmp_path / "w.npz")


def test_other_names_are_refused(source, tmp_path):
    save_weights(tmp_path / "w.npz", source)
    with pytest.raises(UserError, match=r"nothing in it fits .*third: 0 of 2 layers"):
        load_weights_by_name(network("third"), tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["w.npz", "w.weights.h5"])
def test_damaged_files_are_one_line(name, tmp_path):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(UserError, match="or damaged"):
        load_weights_by_name(network("first"), tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        load_weights_by_name(network("first"), tmp_path / f"absent-{name}")


def test_a_flipped_bit_is_one_line(tmp_path):
    file = tmp_path / "w.npz"
    kernel = np.random.default_rng(0).integers(0, 9, (40, 40)).astype(np.float32)
    np.savez_compressed(file, **{"first/stem/kernel": kernel})
    content = bytearray(file.read_bytes())
    for place in range(100, len(content) - 200, 50):
        content[place] ^= 0x10
        file.write_bytes(content)
        with pytest.raises(UserError, match="or damaged"):
            load_weights_by_name(network("first"), file)
        content[place] ^= 0x10


def test_pickled_arrays_are_not_run(tmp_path):
    np.savez(tmp_path / "w.npz", **{"first/stem/kernel": np.array([{}], object)})
    with pytest.raises(UserError, match="or damaged"):
        load_weights_by_name(network("first"), tmp_path / "w.npz")


def test_sources_run_export_and_file(tmp_path):
    run, export = tmp_path / "run", tmp_path / "models"
    for file in (
        run / "config.json",
        run / "best" / "segmentation.weights.h5",
        run / "reconstruction_run" / "best" / "reconstruction.weights.h5",
        export / "9" / EXPORTED_WEIGHTS,
        export / "10" / EXPORTED_WEIGHTS,
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [file.name for file in find_weights(str(run))] == [
        "segmentation.weights.h5",
        "reconstruction.weights.h5",
    ]
    assert find_weights(str(export)) == [export / "10" / EXPORTED_WEIGHTS]
    assert find_weights(str(export / "9")) == [export / "9" / EXPORTED_WEIGHTS]
    file = run / "best" / "segmentation.weights.h5"
    assert find_weights(str(file)) == [file]


@pytest.mark.parametrize("whole", [True, False])
def test_a_runs_own_networks_win_over_those_of_its_reconstruction_run(whole, tmp_path):
    """The finished run also trained a segmentation, which is of no use to the run."""
    best, frozen = tmp_path / "best", tmp_path / "reconstruction_run" / "best"
    frozen.mkdir(parents=True)
    best.mkdir()
    (tmp_path / "config.json").touch()
    ours, theirs, other = network("second"), network("first"), network("second", more=True)
    ours.save_weights(best / "segmentation.weights.h5")
    if whole:
        composed(theirs, other).save_weights(frozen / "model.weights.h5")
    else:
        theirs.save_weights(frozen / "reconstruction.weights.h5")
        other.save_weights(frozen / "segmentation.weights.h5")
    copies = network("first"), network("second", more=True)
    (_, first), (_, second) = load_sources(copies, [str(tmp_path)])
    assert (first.missing, second.missing) == ((), ("more",))
    for copy, trained in zip(copies, (theirs, ours), strict=True):
        for layer in ("stem", "head"):
            for a, b in zip(weights_of(copy, layer), weights_of(trained, layer), strict=True):
                np.testing.assert_array_equal(a, b)


def test_unknown_sources_are_named(tmp_path):
    with pytest.raises(UserError, match="absent: no file, run, exported model or name"):
        find_weights(str(tmp_path / "absent"))
    with pytest.raises(UserError, match="neither a run nor an exported model"):
        find_weights(str(tmp_path))
    (tmp_path / "config.json").touch()
    with pytest.raises(UserError, match="no best checkpoint yet"):
        find_weights(str(tmp_path))
