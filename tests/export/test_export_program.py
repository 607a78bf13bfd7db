"""The export program, and its model in a process without this package."""

import subprocess
import sys

import numpy as np
import pytest

from tests.export.runs import SIZE, toy_run, without_warmup, write_run
from tests.programs import assert_refused, run_program
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.models import XCTRSNet
from xctrs_tf.reconstruction.export_files import model_sha256

# Code of a user without this package.
PLAIN_TENSORFLOW = """
import sys, warnings
sys.modules["xctrs_tf"] = sys.modules["experiments"] = None
warnings.simplefilter("error")
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
signature = model.signatures["serving_default"]
films = {view: tf.constant(film) for view, film in np.load(sys.argv[2]).items()}
outputs = signature(**films)
outputs["classes"] = outputs.pop("segmentation")
pngs = {f"{v}_bytes": tf.constant([open(f"{v}.png", "rb").read()]) for v in ("ap", "la")}
outputs |= model.signatures["serving_bytes"](**pngs)
np.savez(sys.argv[3], **{name: tensor.numpy() for name, tensor in outputs.items()})
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a bfloat16 run of the real networks, and the networks in float32."""
    folder = tmp_path_factory.mktemp("run")
    return folder, write_run(folder, "mixed_bfloat16")


@pytest.mark.slow
def test_plain_tensorflow_computes_what_the_networks_do(run, tmp_path):
    folder, networks = run
    output = tmp_path / "models" / "xctrsnet"
    result = run_program("export", f"--workdir={folder}", f"--output={output}")
    pin = model_sha256(output / "1")
    printed = f"{output / '1'}\n--model_sha256={pin}\n"
    assert (result.returncode, result.stdout) == (0, printed), result.stderr
    data, figures, quality = without_warmup(result.stderr.splitlines())
    assert "absent is no longer the run's data" in data
    assert f"{folder}: no evaluation/cases.csv: the export has no figures" in figures
    assert f"{folder}: no quality.json: the export has no thresholds" in quality

    rng = np.random.default_rng(1)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    np.savez(tmp_path / "films.npz", **films)
    for view, film in films.items():
        write_film(tmp_path / f"{view}.png", film[0, ..., 0], view)
    paths = [output / "1", tmp_path / "films.npz", tmp_path / "outputs.npz"]
    subprocess.run(
        [sys.executable, "-c", PLAIN_TENSORFLOW, *map(str, paths)], cwd=tmp_path, check=True
    )
    outputs = np.load(tmp_path / "outputs.npz")

    model = XCTRSNet(SIZE, **networks)
    expected = {name: np.asarray(tensor) for name, tensor in model(films, training=False).items()}
    assert np.ptp(expected["ct"]) > 0.1 and (expected["ct"] < 0).any()
    assert set(outputs) == {"ct", "classes", "ct_hu", "segmentation", "metadata_json"}
    np.testing.assert_allclose(outputs["classes"], expected["segmentation"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs["ct"], expected["ct"].clip(0, 1), rtol=0, atol=1e-5)

    read = {v: read_film(tmp_path / f"{v}.png", v, SIZE)[None, ..., None] for v in ("ap", "la")}
    expected = {name: np.asarray(tensor) for name, tensor in model(read, training=False).items()}
    hu = denormalise_hu(expected["ct"][..., 0])
    assert outputs["ct_hu"].dtype == np.int16 and np.ptp(hu) > 100
    # A rounding error of the network may change the rounding to whole HU.
    np.testing.assert_allclose(outputs["ct_hu"], hu, rtol=0, atol=1)
    assert np.mean(outputs["ct_hu"] == hu) > 0.99
    assert outputs["segmentation"].dtype == np.uint8
    assert np.mean(outputs["segmentation"] == expected["segmentation"].argmax(-1)) > 0.999


def test_missing_figures_and_thresholds_are_told(tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run")
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda *arguments, **options: run)
    monkeypatch.setattr("xctrs_tf.export.saved_model.export_run", lambda run, *options: run.path)
    flags = (f"--workdir={run.path}", f"--output={tmp_path / 'models'}")
    result = run_program("export", *flags)
    figures, quality = result.stderr.splitlines()
    assert result.returncode == 0 and quality.startswith(f"WARNING: {run.path}: no quality.json:")
    assert f"run experiments.calibrate --workdir={run.path}, and export again" in quality
    assert figures.startswith(f"WARNING: {run.path}: no evaluation/cases.csv: the export has no")
    assert f"run experiments.evaluate --workdir={run.path}, and export again" in figures
    (run.path / "quality.json").touch()
    (run.path / "evaluation").mkdir()
    (run.path / "evaluation" / "cases.csv").touch()
    assert run_program("export", *flags).stderr == ""


def test_no_run(tmp_path):
    flags = (f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'models'}")
    result = run_program("export", *flags)
    assert_refused(result, "run/config.json is missing: --workdir must name", tmp_path / "models")


def test_a_flag_is_missing(tmp_path):
    result = run_program("export", f"--output={tmp_path / 'models'}")
    assert_refused(result, "--workdir", tmp_path / "models")


def test_a_damaged_checkpoint(run, tmp_path):
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    for name in ("config.json", "best/state.json"):
        (folder / name).write_bytes((run[0] / name).read_bytes())
    (folder / "best" / "model.weights.h5").write_bytes(b"half")
    result = run_program("export", f"--workdir={folder}", f"--output={tmp_path / 'models'}")
    assert_refused(result, "run holds no whole best checkpoint", tmp_path / "models")
