"""The model that comes with the package: files, outputs, and what it says of itself."""

import json
import pathlib
import re

import numpy as np
import pytest

import xctrs_tf
from xctrs_tf.ct_segmentation.segmentation_network import load_network
from xctrs_tf.data.volumes.volume import read_ct, read_labels
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.metrics.overlap import dice_per_class
from xctrs_tf.models.weight_sources import find_weights
from xctrs_tf.pretrained import (
    DEFAULT,
    EXAMPLE,
    EXPORTED_WEIGHTS,
    PRETRAINED,
    asked_folder,
    pretrained_folder,
)
from xctrs_tf.reconstruction.export_files import check_files
from xctrs_tf.reconstruction.exported_model import find_export

FOLDER = pretrained_folder("neck64")


@pytest.fixture(scope="module")
def metadata():
    return json.loads((FOLDER / "assets.extra" / "metadata.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def reconstruction():
    """The example, reconstructed."""
    films = {view: EXAMPLE / f"{view}.png" for view in VIEWS}
    return xctrs_tf.load()(**films, crop="none")


def test_the_folder_is_whole(metadata):
    check_files(FOLDER, metadata)
    assert metadata["checksums"]
    assert (FOLDER / EXPORTED_WEIGHTS).stat().st_size <= 20e6
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "Aaron Babier" in notice and "BodyParts3D" in notice and "CC BY 4.0" in notice
    assert (FOLDER / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")


def test_it_says_how_it_was_tested_and_trained(metadata):
    assert metadata["metrics"]["split"] == "test"
    assert metadata["metrics"]["patients"] == metadata["data"]["patients"]["test"]
    assert metadata["quality"]["thresholds"] and metadata["quality"]["held_out"] == 17
    assert [source["source"] for source in metadata["data"]["sources"]] == ["OpenKBP"]
    stages = [stage["source"] for stage in metadata["stages"]]
    assert stages == ["phantoms", "reconstruction", "segmentation", "joint"]
    assert "/" not in json.dumps(metadata["training"])


def test_all_vertebrae_of_the_example_are_found(reconstruction):
    (path,) = EXAMPLE.glob("*_seg.nii.gz")
    y_true = read_labels(path).array
    assert set(np.unique(reconstruction.segmentation)) == set(range(8))
    dice = dice_per_class(y_true, reconstruction.segmentation, 8)
    assert np.nanmin(dice) > 0.4


def test_the_example_is_nearer_to_its_ct_than_to_one_turned_round(reconstruction):
    (path,) = EXAMPLE.glob("*_ct.nii.gz")
    y_true = read_ct(path)[0].array.astype(float)
    errors = [np.abs(reconstruction.ct_hu - each).mean() for each in (y_true, y_true[:, ::-1])]
    assert errors[0] < 0.8 * errors[1]


def test_the_model_has_the_weights_of_the_reconstructor(reconstruction):
    model = xctrs_tf.XCTRSNet(weights="neck64")
    films = {view: film[None, ..., None] for view, film in reconstruction.films.items()}
    outputs = model(films)
    labels = np.argmax(np.asarray(outputs["segmentation"])[0], axis=-1)
    assert np.mean(labels == reconstruction.segmentation) > 0.999


def test_names():
    assert DEFAULT in PRETRAINED
    with pytest.raises(ValueError, match=r"weights='neck65': must be one of neck64"):
        pretrained_folder("neck65")
    with pytest.raises(UserError, match="no file, run, exported model or name"):
        xctrs_tf.XCTRSNet(32, width=0.125, weights="neck65")


def test_a_model_of_the_name_in_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"neck64": (xctrs_tf.load, find_weights), "vertebrae64": (load_network, find_weights)}
    assert find_export("neck64").path == FOLDER
    for name, readers in names.items():
        (tmp_path / name).mkdir()
        # A folder that is no model, such as one of reconstructions.
        assert asked_folder(name) == FOLDER.parent / name
        (tmp_path / name / "1/assets.extra").mkdir(parents=True)
        for read in readers:
            with pytest.raises(UserError, match=rf"^{name}: .* here; write \./{name} for"):
                read(name)
    # Without a name nothing else can be meant.
    assert xctrs_tf.load().metadata["size"] == 64
    monkeypatch.chdir(FOLDER.parent)
    assert find_export("neck64").path == FOLDER
    monkeypatch.chdir(tmp_path)
    # The folder itself, which has no metadata here.
    for path in ("./neck64", pathlib.Path("neck64")):
        with pytest.raises(UserError, match=r"^neck64/1: no exported model"):
            xctrs_tf.load(path)


def test_the_page_names_the_test_patients_and_the_figures(metadata):
    from tests.programs import ROOT

    page = (ROOT / "docs" / "neck64.md").read_text(encoding="utf-8")
    means = metadata["metrics"]["means"]
    assert re.search(rf"\b{means['psnr']:.2f}\b", page)
    assert re.search(rf"\b{100 * means['dice_mean']:.2f}\b", page)


def test_the_page_has_the_cards_rates_of_faults_that_are_not_always_noticed():
    from tests.programs import ROOT

    def rows(text):
        lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line] for line in lines]

    page = (ROOT / "docs" / "neck64.md").read_text(encoding="utf-8")
    card = (FOLDER / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    # The necks; a second table has the phantoms.
    faults = card.split("| fault |")[1]
    expected = [
        [name, f"{noticed} ({interval})", f"{float(lost):.1f}", named]
        for name, noticed, interval, *_, lost, named in rows(faults)[1:]
        if noticed != "1.00"
    ]
    assert len(expected) > 5
    assert rows(page.split("| fault |")[1].split("\n\n")[0]) == expected
