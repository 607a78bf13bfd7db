"""Exports of weights alone: size, outputs, and weights for new runs."""

import shutil

import numpy as np
import pytest

from tests.export.runs import SIZE, read_metadata, toy_films, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.models import XCTRSNet
from xctrs_tf.models.weight_sources import find_weights
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.run import load_run

WIDTH = 0.25


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    write_run(path)
    return load_run(path, precision="float32")


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "float32": export_run(run, root / "a", file_format="weights"),
        "float16": export_run(run, root / "b", quantize="float16", file_format="weights"),
        "savedmodel": export_run(run, root / "c"),
    }


def outputs(folder):
    films = {view: film[:1] + 0.25 for view, film in toy_films(2).items()}
    found = find_export(folder).load()(**films)
    return {name: np.asarray(value) for name, value in found.items()}


def test_weights_alone_have_the_outputs_of_the_saved_model(exports):
    expected = outputs(exports["savedmodel"])
    for name, value in outputs(exports["float32"]).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_float16_is_half_the_file_and_close(exports):
    sizes = {n: (exports[n] / EXPORTED_WEIGHTS).stat().st_size for n in ("float32", "float16")}
    assert sizes["float16"] < 0.6 * sizes["float32"]
    expected = outputs(exports["float32"])
    for name, value in outputs(exports["float16"]).items():
        difference = np.abs(value - expected[name]).max()
        assert 0 < difference < 5e-2
    assert read_metadata(exports["float16"])["weights"]["quantize"] == "float16"


def test_every_export_has_weights_for_new_runs(run, exports):
    for name in ("float32", "savedmodel"):
        model = XCTRSNet(SIZE, width=WIDTH, weights=str(exports[name]))
        for task in ("reconstruction", "segmentation"):
            network = getattr(run, task)
            copies = model.get_layer(network.name).get_weights()
            for a, b in zip(network.get_weights(), copies, strict=True):
                np.testing.assert_array_equal(a, b)


def test_weights_of_a_run_fit_the_whole_model(run):
    (file,) = find_weights(str(run.path))
    model = XCTRSNet(SIZE, width=WIDTH)
    model.load_weights(file)
    for a, b in zip(
        run.segmentation.get_weights(), model.get_layer("mulsisnet").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_saved_model_without_its_graph_is_not_run_from_its_weights(exports, tmp_path):
    copy = shutil.copytree(exports["savedmodel"], tmp_path / "1")
    (copy / "saved_model.pb").unlink()
    with pytest.raises(UserError, match=r"saved_model\.pb: missing"):
        load(copy)


def test_weights_of_an_unknown_network_are_one_line(exports, tmp_path):
    copy = shutil.copytree(exports["float32"], tmp_path / "1")
    metadata = read_metadata(copy)
    metadata["networks"]["segmentation"] = "another"
    metadata.pop("checksums")
    export = find_export(copy)
    export.metadata.clear()
    export.metadata.update(metadata)
    with pytest.raises(UserError, match="name no networks of this version"):
        export.load()
