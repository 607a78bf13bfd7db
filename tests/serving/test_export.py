import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.data.cases import write_dataset
from tests.serving.runs import DATA_SHA256, SIZE, toy_run, write_run
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.models import XCTRSNet
from xctrs_tf.serving.export import export_run
from xctrs_tf.serving.exported import find_export

ROOT = pathlib.Path(__file__).parents[2]

# What someone without this package types.
PLAIN_TENSORFLOW = """
import sys, warnings
sys.modules["xctrs_tf"] = sys.modules["experiments"] = None
warnings.simplefilter("error")
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
films = {view: tf.constant(film) for view, film in np.load(sys.argv[2]).items()}
np.savez(sys.argv[3], **{name: tensor.numpy() for name, tensor in signature(**films).items()})
"""


def export(*flags):
    command = [sys.executable, "-m", "experiments.export", *map(str, flags)]
    # The tests' own; with it TensorFlow would not be quiet.
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", timeout=300
    )


def read_metadata(folder):
    return json.loads((folder / "assets.extra" / "metadata.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A real run: its folder and its networks."""
    folder = tmp_path_factory.mktemp("run")
    return folder, write_run(folder)


@pytest.mark.slow
def test_plain_tensorflow_computes_what_the_networks_do(run, tmp_path):
    folder, networks = run
    output = tmp_path / "models" / "xctrsnet"
    result = export(f"--workdir={folder}", f"--output={output}")
    assert (result.returncode, result.stdout) == (0, f"{output / '1'}\n"), result.stderr
    (warning,) = result.stderr.splitlines()
    assert "absent is no longer the run's data" in warning

    rng = np.random.default_rng(1)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    np.savez(tmp_path / "films.npz", **films)
    paths = [output / "1", tmp_path / "films.npz", tmp_path / "outputs.npz"]
    subprocess.run(
        [sys.executable, "-c", PLAIN_TENSORFLOW, *map(str, paths)], cwd=tmp_path, check=True
    )
    outputs = np.load(tmp_path / "outputs.npz")

    model = XCTRSNet(SIZE, **networks)
    expected = {name: np.asarray(tensor) for name, tensor in model(films, training=False).items()}
    assert np.ptp(expected["ct"]) > 0.1 and (expected["ct"] < 0).any()
    assert set(outputs) == {"ct", "segmentation"}
    np.testing.assert_allclose(outputs["ct"], expected["ct"].clip(0, 1), rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs["segmentation"], expected["segmentation"], rtol=0, atol=1e-5)


def test_metadata(tmp_path):
    metadata = read_metadata(export_run(toy_run(tmp_path / "run"), tmp_path / "models"))
    signature = metadata["signatures"]["serving_default"]
    described = {
        name: ([*tensor["axes"]], tensor["shape"], tensor["dtype"])
        for name, tensor in {**signature["inputs"], **signature["outputs"]}.items()
    }
    assert described == {
        "ap": (["batch", "x", "z", "channel"], [None, 32, 32, 1], "float32"),
        "la": (["batch", "y", "z", "channel"], [None, 32, 32, 1], "float32"),
        "ct": (["batch", "x", "y", "z", "channel"], [None, 32, 32, 32, 1], "float32"),
        "segmentation": (["batch", "x", "y", "z", "class"], [None, 32, 32, 32, 8], "float32"),
    }
    expected = {
        "format": "xctrs-export/1",
        "notice": "Not a medical device; not for diagnosis.",
        "size": 32,
        "spacing_mm": None,
        "window_hu": [-1000.0, 1500.0],
        "classes": ["background", "C1", "C2", "C3", "C4", "C5", "C6", "C7"],
        "step": 7,
        "data_sha256": DATA_SHA256,
    }
    assert {key: metadata[key] for key in expected} == expected
    assert metadata["training"]["rsc_weight"] == 0.0
    assert {"python", "keras", "xctrs-tf"} <= metadata["versions"].keys()


def test_versions_count_up_and_the_newest_is_found(tmp_path):
    run = toy_run(tmp_path / "run")
    output = tmp_path / "models"
    (output / "9").mkdir(parents=True)
    assert [export_run(run, output) for _ in range(2)] == [output / "10", output / "11"]
    assert find_export(output).path == output / "11"
    assert find_export(output / "10").path == output / "10"
    assert sorted(entry.name for entry in output.iterdir()) == ["10", "11", "9"]


def test_a_toy_by_hand(tmp_path):
    signature = find_export(export_run(toy_run(tmp_path / "run"), tmp_path / "models")).load()
    films = {view: np.zeros((3, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    films["ap"][2, 20, 7] = 0.5
    films["la"][2, 11, 7] = 0.75
    films["ap"][1, 5, 9] = films["la"][1, 6, 9] = 1.0
    outputs = {name: tensor.numpy() for name, tensor in signature(**films).items()}
    assert outputs["ct"][2, 20, 11, 7, 0] == 0.75
    # 2 before it is clipped, so above the threshold.
    assert outputs["ct"][1, 5, 6, 9, 0] == 1.0
    assert np.count_nonzero(outputs["ct"]) == 2
    assert outputs["segmentation"][1, 5, 6, 9, 3] == 1.0
    assert (outputs["segmentation"].argmax(-1) != 0).sum() == 1


def test_a_run_without_segmentation(tmp_path):
    folder = export_run(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    metadata = read_metadata(folder)
    assert list(metadata["signatures"]["serving_default"]["outputs"]) == ["ct"]
    assert metadata["classes"] is None
    assert set(find_export(folder).load().structured_outputs) == {"ct"}


def test_voxel_size_is_the_median_of_the_very_data(tmp_path, caplog):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)
    manifest = json.loads((data / "manifest.json").read_text())
    for patient, spacing_mm in zip(manifest["patients"], (9.0, 2.0, 2.5), strict=True):
        patient["spacing_mm"] = spacing_mm
    (data / "manifest.json").write_text(json.dumps(manifest))
    sha256 = open_dataset(data).content_hash()

    def spacing_mm(sha256):
        run = toy_run(tmp_path / "run", data=str(data), data_sha256=sha256)
        return read_metadata(export_run(run, tmp_path / "models"))["spacing_mm"]

    assert spacing_mm(sha256) == 2.5
    assert not caplog.messages
    assert spacing_mm("e" * 64) is None
    assert "no longer the run's data" in caplog.messages[0]


def test_a_saved_model_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run", segmented=False)
    other = toy_run(tmp_path / "other", gain=2.001)
    monkeypatch.setattr(
        "xctrs_tf.serving.exported.Export.load",
        lambda self: lambda **films: {"ct": np.clip(other.reconstruction(films), 0, 1)},
    )
    with pytest.raises(RuntimeError, match=r"ct of the saved model differs by 0\.00\d+ from the"):
        export_run(run, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_networks_that_give_no_numbers(tmp_path):
    with pytest.raises(RuntimeError, match="ct of the saved model differs by nan"):
        export_run(toy_run(tmp_path / "run", gain=np.nan), tmp_path / "models")


def truncate(file):
    file.write_bytes(file.read_bytes()[:-200])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: truncate(folder / "saved_model.pb"),
        lambda folder: truncate(folder / "variables" / "variables.index"),
        lambda folder: (folder / "variables" / "variables.index").unlink(),
        lambda folder: (folder / "variables" / "variables.data-00000-of-00001").unlink(),
    ],
)
def test_a_damaged_saved_model(tmp_path, spoil):
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    spoil(folder)
    with pytest.raises(UserError, match=r"models/1: damaged; run experiments.export again"):
        find_export(tmp_path / "models").load()


def test_no_export(tmp_path):
    with pytest.raises(UserError, match="absent: no exported model; make one with"):
        find_export(tmp_path / "absent")
    (tmp_path / "3").mkdir()
    with pytest.raises(UserError, match="3: no exported model; make one with"):
        find_export(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "xctrs-export/0"}', None])
def test_metadata_that_cannot_be_read(tmp_path, content):
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    if content is not None:
        (tmp_path / "1" / "assets.extra" / "metadata.json").write_text(content)
    with pytest.raises(UserError, match=r"metadata.json: missing, or not of format xctrs-export/1"):
        find_export(tmp_path)


def assert_refused(result, message, output):
    """One line of error, status 2, nothing on stdout, nothing written."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert message in lines[0]
    assert (result.returncode, result.stdout) == (2, "")
    assert not output.exists()


def test_no_run(tmp_path):
    result = export(f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'models'}")
    assert_refused(result, "run/config.json is missing: --workdir must name", tmp_path / "models")


def test_a_flag_is_missing(tmp_path):
    result = export(f"--output={tmp_path / 'models'}")
    assert_refused(result, "--workdir", tmp_path / "models")


def test_a_damaged_checkpoint(run, tmp_path):
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    for name in ("config.json", "best/state.json", "best/segmentation.weights.h5"):
        (folder / name).write_bytes((run[0] / name).read_bytes())
    (folder / "best" / "reconstruction.weights.h5").write_bytes(b"half")
    result = export(f"--workdir={folder}", f"--output={tmp_path / 'models'}")
    assert_refused(result, "run holds no whole best checkpoint", tmp_path / "models")


def test_output_is_a_file(tmp_path):
    (tmp_path / "models").write_text("mine")
    with pytest.raises(UserError, match=r"models: no folder .*; choose another"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert (tmp_path / "models").read_text() == "mine"
