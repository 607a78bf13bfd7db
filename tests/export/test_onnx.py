import dataclasses
import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.export.runs import SIZE, assert_toy_outputs, toy_films, toy_run, write_run
from tests.models.shallow import use_shallow_networks
from tests.programs import ROOT
from xctrs_tf.data.films.film_writer import write_film
from xctrs_tf.errors import UserError
from xctrs_tf.export import saved_model as export_module
from xctrs_tf.export.onnx_conversion import CONVERSION_PACKAGES
from xctrs_tf.export.plain_networks import PlainGroupNormalization, with_plain_normalizations
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.reconstruction import load, onnx_model
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.reconstruction.onnx_model import require_packages
from xctrs_tf.training.run import load_run

needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, CONVERSION_PACKAGES)),
    reason=f"needs {', '.join(CONVERSION_PACKAGES)}",
)

# Code of a user without this package and without TensorFlow.
PLAIN_ONNX_RUNTIME = """
import sys
for name in ("xctrs_tf", "experiments", "tensorflow", "keras"):
    sys.modules[name] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
names = [output.name for output in session.get_outputs()]
outputs = session.run(names, dict(np.load(sys.argv[2])))
np.savez(sys.argv[3], **dict(zip(names, outputs)))
"""

# Runs a program as if some packages were not installed.
PROGRAM_WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
import importlib
sys.exit(importlib.import_module(sys.argv.pop(1)).main())
"""


def run_without(absent, program, *flags):
    """Run a program in a process that cannot import ``absent``, comma-separated packages."""
    command = [sys.executable, "-c", PROGRAM_WITHOUT, absent, f"experiments.{program}"]
    return subprocess.run(
        [*command, *map(str, flags)], cwd=ROOT, capture_output=True, encoding="utf-8"
    )


def export(run, output):
    return export_run(run, output, file_format="onnx")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Version folder of the exported `toy_run`."""
    folder = tmp_path_factory.mktemp("toy")
    return export(toy_run(folder / "run"), folder / "models")


@needs_onnx
@pytest.mark.slow
@pytest.mark.usefixtures("no_graph_optimizer")
def test_plain_onnx_runtime_computes_what_the_networks_do(tmp_path, monkeypatch):
    use_shallow_networks(monkeypatch)
    networks = write_run(tmp_path / "run")
    version = export(load_run(tmp_path / "run"), tmp_path / "models")
    rng = np.random.default_rng(1)
    films = {view: rng.random((2, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    np.savez(tmp_path / "films.npz", **films)
    paths = [version / "model.onnx", tmp_path / "films.npz", tmp_path / "outputs.npz"]
    subprocess.run(
        [sys.executable, "-c", PLAIN_ONNX_RUNTIME, *map(str, paths)], cwd=tmp_path, check=True
    )
    outputs = np.load(tmp_path / "outputs.npz")
    ct = np.asarray(networks["reconstruction"](films, training=False))
    classes = np.asarray(networks["segmentation"](ct, training=False))
    assert np.ptp(ct) > 0.1 and (ct < 0).any()
    np.testing.assert_allclose(outputs["ct"], ct.clip(0, 1), rtol=0, atol=1e-4)
    np.testing.assert_allclose(outputs["segmentation"], classes, rtol=0, atol=1e-4)


@needs_onnx
def test_a_toy_by_hand(toy):
    assert_toy_outputs(find_export(toy).load()(**toy_films(3)))


@needs_onnx
def test_the_file_and_its_metadata(toy):
    import onnx

    assert sorted(path.name for path in toy.rglob("*") if path.is_file()) == [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "metadata.json",
        "model.onnx",
        "weights.npz",
    ]
    metadata = json.loads((toy / "assets.extra" / "metadata.json").read_text(encoding="utf-8"))
    assert (metadata["format"], metadata["size"], metadata["step"]) == ("xctrs-export/2", SIZE, 7)
    assert list(metadata["signatures"]) == ["serving_default"]
    differences = metadata["weights"]["largest_differences"]
    assert set(differences) == {"serving_default: ct", "serving_default: segmentation"}
    model = onnx.load(toy / "model.onnx")
    onnx.checker.check_model(model)
    assert model.doc_string == "Not a medical device; not for diagnosis."
    axes = {
        tensor.name: [d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim]
        for tensor in [*model.graph.input, *model.graph.output]
    }
    assert axes == {
        "ap": ["batch", 32, 32, 1],
        "la": ["batch", 32, 32, 1],
        "ct": ["batch", 32, 32, 32, 1],
        "segmentation": ["batch", 32, 32, 32, 8],
    }


@needs_onnx
def test_a_run_without_segmentation(tmp_path):
    folder = export(toy_run(tmp_path / "run", segmented=False), tmp_path / "models")
    assert set(find_export(folder).load()(**toy_films(2))) == {"ct"}


@needs_onnx
def test_both_formats_reconstruct_alike(toy, tmp_path):
    saved_model = export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    ap, la = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    theirs, ours = (load(folder)(ap, la, spacing_mm=4.0) for folder in (saved_model, toy))
    assert np.ptp(ours.ct_hu) > 1000 and set(np.unique(ours.segmentation)) == {0, 3}
    np.testing.assert_array_equal(ours.ct_hu, theirs.ct_hu)
    np.testing.assert_array_equal(ours.segmentation, theirs.segmentation)


@needs_onnx
def test_reconstruct_runs_without_tensorflow(toy, tmp_path):
    flags = [f"--model={toy}", f"--output={tmp_path / 'out'}", "--spacing_mm=4.0"]
    for seed, view in enumerate(("ap", "la")):
        film = np.random.default_rng(seed).random((SIZE, SIZE), np.float32)
        write_film(tmp_path / f"{view}.png", film, view)
        flags.append(f"--{view}={tmp_path / view}.png")
    finished = run_without(
        "tensorflow,keras,jax,tf2onnx", "reconstruct", *flags, "--noreport", "--nocheck_views"
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "out" / "ct.nii.gz").is_file()


@needs_onnx
def test_a_damaged_file(toy, tmp_path):
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    for name, keep in (
        ("model.onnx", 200),
        ("assets.extra/metadata.json", None),
        ("assets.extra/MODEL_CARD.md", None),
        ("assets.extra/SHA256SUMS", None),
        (EXPORTED_WEIGHTS, None),
    ):
        (tmp_path / "1" / name).write_bytes((toy / name).read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model.onnx: .*run experiments.export again"):
        find_export(tmp_path).load()


@needs_onnx
def test_a_file_that_computes_something_else_is_not_kept(tmp_path, monkeypatch):
    run, other = toy_run(tmp_path / "run"), toy_run(tmp_path / "other", gain=2.001)
    signatures = export_module.Signatures
    monkeypatch.setattr(export_module, "Signatures", lambda run, *args: signatures(other, *args))
    with pytest.raises(UserError, match=r"--format=onnx: serving_default: ct differs by 0\.00\d+"):
        export(run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.fixture
def installed(monkeypatch):
    """Pretend that all packages of an ONNX export are installed."""
    monkeypatch.setattr(onnx_model.importlib.util, "find_spec", lambda name: name)


def test_weights_are_not_quantized(installed, tmp_path):
    with pytest.raises(UserError, match="--quantize=float16: not with --format=onnx"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models", "float16", "onnx")
    assert not (tmp_path / "models").exists()


def test_packages_that_are_missing_are_named():
    with pytest.raises(UserError, match=r"x: needs absent_1, absent_2; pip install 'xctrs-tf\[on"):
        require_packages(("json", "absent_1", "absent_2"), "x")


@pytest.mark.parametrize("absent", CONVERSION_PACKAGES)
def test_the_program_names_a_missing_package(tmp_path, absent):
    toy_run(tmp_path / "run")
    flags = [f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'models'}", "--format=onnx"]
    finished = run_without(f"{absent},tensorflow", "export", *flags)
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: --format=onnx: needs ") and absent in line
    assert not (tmp_path / "models").exists()


def test_a_model_without_onnx_runtime(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"model.onnx: needs onnxruntime; pip install 'xctrs-tf"):
        onnx_model.load_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_plain_normalizations_compute_what_the_folded_ones_do(tmp_path, groups):
    def nested(name):
        film = keras.Input((5, 3, 6))
        inner = FoldedGroupNormalization(groups=groups, name=name)
        return keras.Model(film, inner(film))

    x = keras.Input((5, 3, 6))
    network = keras.Model(x, keras.layers.Conv2D(6, 3)(nested("a")(x)))
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    batch = rng.normal(3.0, 2.0, (2, 5, 3, 6)).astype(np.float32)
    run = dataclasses.replace(toy_run(tmp_path / "run"), reconstruction=network, segmentation=None)
    plain = with_plain_normalizations(run)
    assert plain.segmentation is None
    inner = plain.reconstruction.layers[1].layers[1]
    assert isinstance(inner, PlainGroupNormalization) and inner is not network.layers[1].layers[1]
    expected = np.asarray(network(batch))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(np.asarray(plain.reconstruction(batch)), expected, atol=1e-5)
