import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.data.cases import write_dataset
from tests.serving.runs import DATA_SHA256, SIZE, toy_run, write_run
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.intensity import denormalise_hu
from xctrs_tf.data.xray import read_film, write_film
from xctrs_tf.errors import UserError
from xctrs_tf.models import XCTRSNet
from xctrs_tf.serving import export as export_module
from xctrs_tf.serving.description import describe_run
from xctrs_tf.serving.export import export_run
from xctrs_tf.serving.exported import find_export, version_numbers
from xctrs_tf.serving.signatures import Signatures

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
outputs = signature(**films)
outputs["classes"] = outputs.pop("segmentation")
pngs = {f"{v}_bytes": tf.constant([open(f"{v}.png", "rb").read()]) for v in ("ap", "la")}
outputs |= model.signatures["serving_bytes"](**pngs)
np.savez(sys.argv[3], **{name: tensor.numpy() for name, tensor in outputs.items()})
"""


def export(*flags):
    command = [sys.executable, "-m", "experiments.export", *map(str, flags)]
    # The tests' own; with it TensorFlow would not be quiet.
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", timeout=300
    )


def _without_warmup(lines):
    """What is said where an optional extra is absent is another test's matter."""
    return [line for line in lines if "tensorflow-serving-api is not installed" not in line]


def read_metadata(folder):
    return json.loads((folder / "assets.extra" / "metadata.json").read_text(encoding="utf-8"))


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
    (warning,) = _without_warmup(result.stderr.splitlines())
    assert "absent is no longer the run's data" in warning

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
    assert set(outputs) == {"ct", "classes", "ct_hu", "segmentation"}
    np.testing.assert_allclose(outputs["classes"], expected["segmentation"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs["ct"], expected["ct"].clip(0, 1), rtol=0, atol=1e-5)

    read = {v: read_film(tmp_path / f"{v}.png", v, SIZE)[None, ..., None] for v in ("ap", "la")}
    expected = {name: np.asarray(tensor) for name, tensor in model(read, training=False).items()}
    hu = denormalise_hu(expected["ct"][..., 0])
    assert outputs["ct_hu"].dtype == np.int16 and np.ptp(hu) > 100
    # A rounding error of the network may carry a value over the half of a unit.
    np.testing.assert_allclose(outputs["ct_hu"], hu, rtol=0, atol=1)
    assert np.mean(outputs["ct_hu"] == hu) > 0.99
    assert outputs["segmentation"].dtype == np.uint8
    assert np.mean(outputs["segmentation"] == expected["segmentation"].argmax(-1)) > 0.999


def tensors(signature):
    return {
        name: (tensor["axes"], tensor["shape"], tensor["dtype"])
        for name, tensor in {**signature["inputs"], **signature["outputs"]}.items()
    }


def test_metadata(tmp_path):
    metadata = read_metadata(export_run(toy_run(tmp_path / "run"), tmp_path / "models"))
    signature = metadata["signatures"]["serving_default"]
    described = tensors(signature)
    assert described == {
        "ap": (["batch", "x", "z", "channel"], [None, 32, 32, 1], "float32"),
        "la": (["batch", "y", "z", "channel"], [None, 32, 32, 1], "float32"),
        "ct": (["batch", "x", "y", "z", "channel"], [None, 32, 32, 32, 1], "float32"),
        "segmentation": (["batch", "x", "y", "z", "class"], [None, 32, 32, 32, 8], "float32"),
    }
    answers = tensors(metadata["signatures"]["serving_bytes"])
    assert answers == {
        "ap_bytes": (["batch"], [None], "string"),
        "la_bytes": (["batch"], [None], "string"),
        "ct_hu": (["batch", "x", "y", "z"], [None, 32, 32, 32], "int16"),
        "segmentation": (["batch", "x", "y", "z"], [None, 32, 32, 32], "uint8"),
    }
    expected = {
        "format": "xctrs-export/2",
        "notice": "Not a medical device; not for diagnosis.",
        "size": 32,
        "spacing_mm": None,
        "window_hu": [-1000.0, 1500.0],
        "classes": ["background", "C1", "C2", "C3", "C4", "C5", "C6", "C7"],
        "step": 7,
        "data_sha256": DATA_SHA256,
        "data": None,
        "metrics": None,
        "quality": None,
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
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    for patient, spacing_mm in zip(manifest["patients"], (9.0, 2.0, 2.5), strict=True):
        patient["spacing_mm"] = spacing_mm
    (data / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    sha256 = open_dataset(data).content_hash()

    def spacing_mm(sha256):
        run = toy_run(tmp_path / "run", data=str(data), data_sha256=sha256)
        return read_metadata(export_run(run, tmp_path / "models"))["spacing_mm"]

    assert spacing_mm(sha256) == 2.5
    assert not _without_warmup(caplog.messages)
    assert spacing_mm("e" * 64) is None
    assert "no longer the run's data" in _without_warmup(caplog.messages)[0]


def test_a_saved_model_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run", segmented=False)
    other = toy_run(tmp_path / "other", gain=2.001)
    monkeypatch.setattr(
        "xctrs_tf.serving.export.Signatures", lambda run, *args: Signatures(other, *args)
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
        (tmp_path / "1" / "assets.extra" / "metadata.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"metadata.json: missing, or not of format xctrs-export/2"):
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
    (tmp_path / "models").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"models: no folder .*; choose another"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert (tmp_path / "models").read_text(encoding="utf-8") == "mine"


def test_the_signatures_of_one_network_follow_each_other(tmp_path):
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    signatures = find_export(folder).load_signatures()
    films = {view: np.full((1, SIZE, SIZE, 1), 0.9, np.float32) for view in ("ap", "la")}
    films["ap"][0, 20:] = 0.5
    tensors = {view: tf.constant(film) for view, film in films.items()}
    ct = signatures["reconstruction"](**tensors)["ct"]
    # 2 * 0.9 * 0.9, which serving_default would clip; and below the threshold of 1.5.
    assert float(ct[0, 19, 0, 0, 0]) == pytest.approx(1.62)
    assert float(ct[0, 20, 0, 0, 0]) == pytest.approx(0.9)
    classes = signatures["segmentation"](ct=ct)["segmentation"].numpy()
    np.testing.assert_array_equal(classes, signatures["serving_default"](**tensors)["segmentation"])
    assert (classes[0, :20].argmax(-1) == 3).all() and (classes[0, 20:].argmax(-1) == 0).all()


def test_without_segmentation_there_is_no_signature_of_it(tmp_path):
    folder = export_run(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    names = {"serving_default", "serving_bytes", "reconstruction"}
    assert set(find_export(folder).load_signatures()) == names
    assert set(read_metadata(folder)["signatures"]) == names
    assert "segmentation" not in tensors(read_metadata(folder)["signatures"]["serving_bytes"])


def narrow_run(path):
    """A run with weights, small enough to export in seconds."""
    films = {view: keras.Input((SIZE, SIZE, 1), name=view) for view in ("ap", "la")}
    keras.utils.set_random_seed(1)
    features = keras.layers.Dense(256)(films["ap"][:, :, None] * films["la"][:, None])
    ct = keras.layers.Dense(1)(keras.layers.Dense(256, activation="tanh")(features))
    return dataclasses.replace(
        toy_run(path, segmented=False), reconstruction=keras.Model(films, ct)
    )


def stored_bytes(folder):
    return sum(file.stat().st_size for file in (folder / "variables").glob("*.data*"))


def test_float16_halves_the_weights_and_nothing_else(tmp_path):
    run = narrow_run(tmp_path / "run")
    whole, half = (export_run(run, tmp_path / "models", q) for q in (None, "float16"))
    assert stored_bytes(half) < 0.52 * stored_bytes(whole)
    difference = read_metadata(half)["weights"]["largest_differences"]["serving_default: ct"]
    assert 1e-6 < difference < 0.05
    assert read_metadata(half)["weights"]["quantize"] == "float16"

    rng = np.random.default_rng(2)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    network = run.reconstruction
    network.set_weights([weight.astype(np.float16) for weight in network.get_weights()])
    expected = np.asarray(network(films, training=False)).clip(0, 1)
    assert np.ptp(expected) > 0.02
    signature = find_export(half).load()
    outputs = signature(**{view: tf.constant(film) for view, film in films.items()})
    assert outputs["ct"].dtype == tf.float32
    np.testing.assert_allclose(outputs["ct"], expected, rtol=0, atol=1e-5)


def test_weights_that_float16_cannot_hold(tmp_path):
    run = narrow_run(tmp_path / "run")
    weights = run.reconstruction.get_weights()
    run.reconstruction.set_weights([1e7 * weights[0], *weights[1:]])
    with pytest.raises(UserError, match=r"--quantize=float16: .* differs by .*; export without it"):
        export_run(run, tmp_path / "models", "float16")
    assert list((tmp_path / "models").iterdir()) == []


def test_two_exports_at_a_time_get_two_numbers(tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run", segmented=False)
    output = tmp_path / "models"
    describe, others = export_module.describe, []

    def slow_describe(*args):
        # Another export begins and ends while the first one is under way.
        if not others:
            others.append(None)
            others[0] = export_run(run, output)
        return describe(*args)

    monkeypatch.setattr(export_module, "describe", slow_describe)
    numbers = version_numbers
    # The first one has looked for numbers before the other one came.
    monkeypatch.setattr(
        export_module, "version_numbers", lambda path: numbers(path) if not others else []
    )
    assert export_run(run, output) == output / "2"
    assert others == [output / "1"]
    assert sorted(entry.name for entry in output.iterdir()) == ["1", "2"]
    assert all((output / n / "saved_model.pb").is_file() for n in "12")


def test_the_data_are_described_and_no_folder_of_the_machine(tmp_path):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    for patient, source in zip(manifest["patients"], ("a", "b", "a"), strict=True):
        patient |= {"source": source, "licence": "MIT"}
    (data / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    run = toy_run(tmp_path / "run", data=str(data), data_sha256=open_dataset(data).content_hash())
    config = dataclasses.replace(run.config, vgg_weights=str(tmp_path / "vgg.h5"))
    folder = export_run(dataclasses.replace(run, config=config), tmp_path / "models")
    metadata = read_metadata(folder)
    assert metadata["data"]["sources"] == [
        {"source": "a", "licence": "MIT", "patients": 2},
        {"source": "b", "licence": "MIT", "patients": 1},
    ]
    assert metadata["data"]["patients"] == {"training": 1, "validation": 1, "test": 1}
    assert metadata["training"]["vgg_weights"] == "vgg.h5"
    assert str(tmp_path) not in json.dumps(metadata)
    # The server tells the voxel size.
    assert set(find_export(folder).load_signatures()["serving_bytes"].structured_outputs) == {
        "ct_hu",
        "segmentation",
        "spacing_mm",
    }


def write_evaluation(path, step=7, rows="p1,20.0,0.5\np2,22.0,\n"):
    path.mkdir(parents=True)
    (path / "cases.csv").write_text(f"id,psnr,dice_C1\n{rows}", encoding="utf-8")
    origin = {"step": step, "data_hash": DATA_SHA256, "split": "test", "dice_name": "Dice"}
    origin |= {"commit": "c0", "date": "2026-01-01", "command": "python --workdir=/somewhere"}
    (path / "cases.json").write_text(json.dumps(origin), encoding="utf-8")


def test_metrics_and_quality_of_the_very_weights(tmp_path, caplog):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation")
    (run.path / "quality.json").write_text('{"format": "xctrs-quality/1"}', encoding="utf-8")
    metadata = describe_run(run)
    assert metadata["metrics"]["means"] == {"psnr": 21.0, "dice_C1": 0.5}
    assert (metadata["metrics"]["patients"], metadata["metrics"]["split"]) == (2, "test")
    assert "/somewhere" not in json.dumps(metadata)
    assert metadata["quality"] == {"format": "xctrs-quality/1"}
    caplog.clear()
    assert describe_run(dataclasses.replace(run, step=8))["metrics"] is None
    assert "of other weights or data" in caplog.messages[-1]


@pytest.mark.parametrize("rows", ["", "p1,none,0.5\n"])
def test_a_damaged_evaluation(tmp_path, rows):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation", rows=rows)
    with pytest.raises(UserError, match=r"cases.csv: damaged; run experiments.evaluate again"):
        describe_run(run)


def test_damaged_thresholds(tmp_path):
    run = toy_run(tmp_path / "run")
    (run.path / "quality.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"quality.json: damaged; run experiments.calibrate again"):
        describe_run(run)


def test_warmup_requests_are_what_the_signatures_take(tmp_path):
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    records = [
        PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(file))
    ]
    assert [r.model_spec.signature_name for r in records] == ["serving_default", "serving_bytes"]
    signatures = find_export(folder).load_signatures()
    for request in records:
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert all(len(tensor) == 1 for tensor in outputs.values())


def test_without_the_api_there_is_no_warmup(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert "tensorflow-serving-api is not installed" in caplog.messages[-1]
    assert [file.name for file in (folder / "assets.extra").iterdir()] == ["metadata.json"]


def test_an_export_of_the_first_format_still_loads(tmp_path):
    folder = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    file = folder / "assets.extra" / "metadata.json"
    file.write_text(
        file.read_text(encoding="utf-8").replace("xctrs-export/2", "xctrs-export/1"),
        encoding="utf-8",
    )
    assert find_export(tmp_path / "models").load().structured_outputs
