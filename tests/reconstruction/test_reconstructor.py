import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import xctrs_tf
from tests.export.runs import SIZE
from tests.films import BLOCK, block_films
from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction import Reconstructor, ReconstructorEnsemble, load
from xctrs_tf.reconstruction.ensemble import find_exports
from xctrs_tf.reconstruction.export_files import list_files, model_sha256


@pytest.fixture(scope="module")
def reconstructor(models):
    return xctrs_tf.load(models)


def test_importing_the_package_imports_no_large_library():
    code = (
        "import sys, xctrs_tf; assert not {'numpy', 'SimpleITK', 'keras'} & set(sys.modules); "
        "xctrs_tf.load; assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert xctrs_tf.load is load
    with pytest.raises(AttributeError, match="module 'xctrs_tf' has no attribute 'store'"):
        xctrs_tf.store  # noqa: B018


def test_films_to_hu_and_labels(reconstructor):
    # The toy doubles the product of the films, which are scaled to 0 and 1.
    result = reconstructor(**block_films(), spacing_mm=2.5)
    expected = np.full((SIZE, SIZE, SIZE), -1000)
    expected[BLOCK] = 1500
    np.testing.assert_array_equal(result.ct_hu, expected)
    np.testing.assert_array_equal(result.segmentation, np.where(expected > 0, 3, 0))
    assert (result.ct_hu.dtype, result.segmentation.dtype) == (np.int16, np.uint8)
    assert result.spacing_mm == 2.5
    # 15.5 voxels from the first centre to the middle.
    assert result.origin_mm == (-38.75, -38.75, -38.75)


def test_the_mirrored_patient_is_averaged():
    def predict(ap, la):
        assert la[0, 3, 4, 0] == 1.0
        # One wherever the AP film is bright, and more and more of it to the left.
        ct = np.repeat(ap[:, :, None], SIZE, axis=2) * np.linspace(0, 1, SIZE).reshape(-1, 1, 1, 1)
        probabilities = np.zeros((1, SIZE, SIZE, SIZE, 8))
        probabilities[..., 2] = 0.4
        probabilities[:, : SIZE // 2, ..., 1] = 0.6
        probabilities[:, SIZE // 2 :, ..., 3] = 0.6
        return {"ct": ct, "segmentation": probabilities}

    films = {view: np.zeros((SIZE, SIZE), np.float32) for view in ("ap", "la")}
    films["ap"][5, 6:16] = films["la"][3, 4:14] = 1.0
    metadata = {"size": SIZE, "spacing_mm": 3.0, "window_hu": [-1000.0, 1000.0]}
    result = Reconstructor(predict, metadata, mirror=True)(**films)
    # Half of the window where the film is bright, and nothing elsewhere.
    assert (result.ct_hu[5, :, 6:16] == 0).all()
    assert np.count_nonzero(result.ct_hu > -1000) == SIZE * 10
    assert (result.segmentation == 2).all()
    assert result.mirror and not Reconstructor(predict, metadata)(**films).mirror


def test_a_model_without_segmentation_and_with_a_voxel_size():
    def predict(ap, la):
        assert ap.shape == la.shape == (1, SIZE, SIZE, 1)
        return {"ct": np.full((1, SIZE, SIZE, SIZE, 1), 0.25, np.float32)}

    metadata = {"size": SIZE, "spacing_mm": 3.0, "window_hu": [-400.0, 400.0]}
    reconstructor = Reconstructor(predict, metadata)
    result = reconstructor(**block_films())
    assert result.segmentation is None
    assert (result.ct_hu == -200).all()
    assert (result.spacing_mm, result.origin_mm) == (3.0, (-46.5, -46.5, -46.5))
    assert reconstructor(**block_films(), spacing_mm=2.0).origin_mm == (-31.0, -31.0, -31.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing_mm": None}, "--spacing_mm: missing, and the model does not know"),
        ({"spacing_mm": 0.0}, "--spacing_mm=0.0: must be above 0"),
        ({"spacing_mm": 1e-20}, "--spacing_mm=1e-20: 32 voxels of it are 3.2e-19 mm, and a neck"),
        ({"la": np.zeros((SIZE, 64))}, r"films: \(32, 64\); the model takes \(32, 32\)"),
        ({"ap": np.zeros((SIZE, SIZE))}, "film: constant"),
        ({"ap": np.full((SIZE, SIZE), np.nan)}, "film: holds NaN"),
    ],
)
def test_bad_films(reconstructor, change, message):
    with pytest.raises(UserError, match=message):
        reconstructor(**{**block_films(), "spacing_mm": 2.5, **change})


def make_reconstructor(ct, label, **metadata):
    """Return a model with a constant CT whose voxels all have the same label."""
    scores = np.eye(8, dtype=np.float32)[label]

    def predict(ap, la):
        shape = (1, SIZE, SIZE, SIZE)
        return {
            "ct": np.full((*shape, 1), ct, np.float32),
            "segmentation": np.broadcast_to(scores, (*shape, 8)),
        }

    known = {"size": SIZE, "spacing_mm": 2.0, "window_hu": [-1000.0, 1000.0], "frame": "LPS"}
    return Reconstructor(predict, {**known, **metadata})


def test_an_ensemble_combines_its_models():
    models = [make_reconstructor(ct, label) for ct, label in ((0.5, 4), (0.6, 4), (0.55, 2))]
    result = ReconstructorEnsemble(models)(**block_films())
    # 0, 200 and 100 HU: the sample standard deviation is 100 HU.
    assert (result.ct_hu == 100).all() and (result.segmentation == 4).all()
    np.testing.assert_allclose(result.spread_hu, 100, rtol=1e-6)
    assert result.uncertainty["C4"]["agreement"] == pytest.approx(2 / 3)
    assert (result.spacing_mm, result.origin_mm) == (2.0, (-31.0,) * 3)


def test_an_ensemble_labels_by_the_mean_probability():
    def model(probability):
        shape = (1, SIZE, SIZE, SIZE)
        classes = np.zeros((*shape, 8), np.float32)
        classes[..., 0], classes[..., 5] = 1 - probability, probability
        outputs = {"ct": np.linspace(0, 1, SIZE**3).reshape(*shape, 1), "segmentation": classes}
        metadata = {"size": SIZE, "spacing_mm": 2.0, "window_hu": [-1000.0, 1000.0]}
        return Reconstructor(lambda ap, la: outputs, metadata)

    # Alone the first model would find nothing.
    result = ReconstructorEnsemble([model(0.4), model(0.9)])(**block_films())
    assert (result.segmentation == 5).all()
    assert result.uncertainty["C5"]["agreement"] == pytest.approx(0.5)
    assert len(result.models) == 2


def test_models_of_two_voxel_sizes_need_spacing_mm():
    ensemble = ReconstructorEnsemble(
        [make_reconstructor(0.5, 4), make_reconstructor(0.5, 4, spacing_mm=3.0)]
    )
    with pytest.raises(UserError, match="--spacing_mm: missing, and the models do not agree"):
        ensemble(**block_films())
    assert ensemble(**block_films(), spacing_mm=1.0).spacing_mm == 1.0


def test_voxel_sizes_that_differ_by_less_than_a_percent_are_one():
    ensemble = ReconstructorEnsemble(
        [make_reconstructor(0.5, 4), make_reconstructor(0.5, 4, spacing_mm=2.01)]
    )
    assert ensemble.trained_spacing_mm() == ensemble(**block_films()).spacing_mm == 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 64}, r"--model=.*other/1: its size is 64, and 32 of .*models/1; name models"),
        ({"window_hu": [-900, 900]}, r"its window_hu is \[-900, 900\], and \[-1000.0, 1500.0\]"),
        ({"frame": "LPS, in mm"}, r"its frame is LPS, in mm, and LPS: x grows"),
        ({"classes": None}, "its classes is None"),
    ],
)
def test_models_that_do_not_fit_together(models, tmp_path, change, message):
    shutil.copytree(models, tmp_path / "other")
    file = tmp_path / "other" / "1" / "assets.extra" / "metadata.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8"
    )
    with pytest.raises(UserError, match=message):
        load(models, tmp_path / "other")


@pytest.mark.parametrize(("theirs", "told"), [(2.0, True), (2.51, False), (None, False)])
def test_models_of_two_voxel_sizes_are_told(models, tmp_path, caplog, theirs, told):
    for name, spacing_mm in (("one", 2.5), ("other", theirs)):
        shutil.copytree(models, tmp_path / name)
        file = tmp_path / name / "1" / "assets.extra" / "metadata.json"
        metadata = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**metadata, "spacing_mm": spacing_mm}), encoding="utf-8")
    find_exports([tmp_path / "one", tmp_path / "other"])
    wanted = "other/1: was trained with voxels of 2 mm, and "
    assert (wanted in "".join(caplog.messages)) is told


def test_a_version_that_is_exported_after_the_search_is_not_taken(models, tmp_path):
    shutil.copytree(models, tmp_path / "models")
    exports = find_exports([tmp_path / "models"])
    shutil.copytree(models / "1", tmp_path / "models" / "2")
    assert repr(load(*exports)).startswith(f"Reconstructor({tmp_path / 'models' / '1'}: ")


def test_the_files_of_a_model_are_hashed_once(models, monkeypatch):
    counted = []
    monkeypatch.setattr(
        "xctrs_tf.reconstruction.exported_model.list_files",
        lambda folder: counted.append(folder) or list_files(folder),
    )
    (export,) = find_exports([models])
    load(export)
    assert export.record()["sha256"] == export.sha256 == model_sha256(models / "1")
    assert export.record()["fpmath"] == "float32"
    assert counted == [models / "1"]


def test_one_hash_may_be_given_without_a_list(models, tmp_path):
    pin = model_sha256(models / "1")
    assert load(models, sha256=pin).size == SIZE
    with pytest.raises(UserError, match=r"--model_sha256=000.*is it the model you mean"):
        load(models, sha256="0" * 64)
    shutil.copytree(models, tmp_path / "copy")
    with pytest.raises(UserError, match="--model_sha256: 1 of them; give one for every --model"):
        load(models, tmp_path / "copy", sha256=pin)


def test_a_model_named_twice(models):
    with pytest.raises(UserError, match="models/1: named twice"):
        load(models, models / "1")


def test_a_copy_of_a_model_is_no_second_model(models, tmp_path):
    shutil.copytree(models, tmp_path / "copy")
    with pytest.raises(UserError, match=r"copy/1: the same model as .*models/1; name every model"):
        load(models, tmp_path / "copy")


@pytest.mark.parametrize(
    "error", [ValueError("no\nsuch \x1b[1minput"), KeyError("ap"), MemoryError()]
)
def test_a_model_that_fails_is_one_line(error):
    def predict(ap, la):
        raise error

    metadata = {"size": SIZE, "spacing_mm": 3.0, "window_hu": [-1000.0, 1500.0]}
    with pytest.raises(
        UserError, match=rf"M/1: the model fails \({type(error).__name__}"
    ) as caught:
        Reconstructor(predict, metadata, "M/1")(**block_films())
    assert str(caught.value).isprintable()


def test_a_model_without_the_labels_that_its_metadata_names():
    def predict(ap, la):
        return {"ct": np.zeros((1, SIZE, SIZE, SIZE, 1), np.float32)}

    metadata = {"size": SIZE, "spacing_mm": 3.0, "window_hu": [-1000.0, 1500.0], "classes": ["C1"]}
    with pytest.raises(
        UserError, match=r"the model's segmentation is not a volume .* it is missing"
    ):
        Reconstructor(predict, metadata)(**block_films())


def test_a_pinned_model_is_loaded_and_no_other(models):
    pin = model_sha256(models / "1")
    assert load(models, sha256=[pin.upper()]).size == SIZE
    with pytest.raises(UserError, match=f"--model_sha256={'0' * 64}: .*models/1 has {pin}; is it"):
        load(models, sha256=["0" * 64])
    with pytest.raises(UserError, match="--model_sha256: 2 of them; give one for every --model"):
        load(models, sha256=[pin, pin])
