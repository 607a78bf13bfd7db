"""Export of any reconstruction network with any segmentation network."""

import re

import numpy as np
import pytest

from tests.export.runs import SIZE, write_config
from tests.models.shallow import use_shallow_networks
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.pretrained import pretrained_folder
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.prediction import predict_case
from xctrs_tf.training.run import build_networks, load_run


def _write_run(path, **networks):
    config = TrainingConfig(data="absent", size=SIZE, width=1 / 16, rsc_weight=0.0, **networks)
    write_config(path, config)
    checkpoints.save(path / "best", build_networks(config), {}, {"step": 7})
    return load_run(path)


@pytest.mark.usefixtures("no_graph_optimizer")
@pytest.mark.parametrize(
    ("reconstruction", "segmentation", "objective"),
    [
        ("sit", "dsn", "published"),
        ("psr", "cs2net", "terms"),
        pytest.param("x2ctgan", "conresnet", "published", marks=pytest.mark.slow),
    ],
)
def test_export_reconstructs_as_the_run_does(
    tmp_path, monkeypatch, reconstruction, segmentation, objective
):
    use_shallow_networks(monkeypatch)
    run = _write_run(
        tmp_path / "run",
        reconstruction=reconstruction,
        segmentation=segmentation,
        reconstruction_objective=objective,
        segmentation_objective=objective,
    )
    export_run(run, tmp_path / "model")
    rng = np.random.default_rng(0)
    ap, la = rng.random((SIZE, SIZE), np.float32), rng.random((SIZE, SIZE), np.float32)
    # The exact ends make the films' own normalisation leave them as they are.
    ap[:2], la[:2], ap[-2:], la[-2:] = 0.0, 0.0, 1.0, 1.0
    result = load(tmp_path / "model")(ap, la, spacing_mm=4.0)
    arrays = {"ap": ap[..., None], "la": la[..., None], "ct": np.zeros((SIZE,) * 3 + (1,))}
    ct, labels = predict_case(run, "p0", arrays)
    np.testing.assert_allclose(result.ct_hu, denormalise_hu(ct), atol=1)
    assert np.mean(result.segmentation == labels) > 0.999


@pytest.fixture(scope="module")
def segmenting(tmp_path_factory):
    """Run that only segments CTs. Tests must not change it."""
    path = tmp_path_factory.mktemp("runs") / "run"
    return _write_run(path, reconstruction="none", segmentation="dsn")


@pytest.mark.parametrize("file_format", ["savedmodel", "onnx", "triton"])
def test_a_run_that_only_segments_has_no_graph(segmenting, tmp_path, file_format):
    with pytest.raises(UserError, match=r"run: only segments CTs; export it with --format=weights"):
        export_run(segmenting, tmp_path / "model", file_format=file_format)
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("no_graph_optimizer")
def test_the_weights_of_a_run_that_only_segments(segmenting, tmp_path):
    folder = export_run(segmenting, tmp_path / "model", file_format="weights")
    export = find_export(tmp_path / "model")
    export.check_files()
    signatures = export.load_signatures()
    assert list(signatures) == list(export.metadata["signatures"]) == ["segmentation"]
    ct = np.random.default_rng(0).random((1, SIZE, SIZE, SIZE, 1), np.float32)
    expected = segmenting.segmentation(ct, training=False)
    np.testing.assert_allclose(
        signatures["segmentation"](ct=ct)["segmentation"], expected, atol=1e-5
    )
    assert list(export.metadata["weights"]["largest_differences"]) == ["segmentation: segmentation"]
    card = (folder / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "labels of C1 to C7 in CTs" in card and "| networks | dsn |" in card
    assert "films" not in card and "faults" not in card


def test_what_only_segments_is_refused_for_films(segmenting, tmp_path):
    folder = export_run(segmenting, tmp_path / "model", "float16", "weights")
    message = f"--model={folder}: only segments CTs; give it to experiments.segment"
    with pytest.raises(UserError, match=re.escape(message)):
        load(tmp_path / "model")
    with pytest.raises(UserError, match="vertebrae64: only segments CTs"):
        load(pretrained_folder("vertebrae64"))
