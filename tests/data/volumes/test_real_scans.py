"""The readers on small real CTs: a chest and three lumbar vertebrae.

They are kept in `tests/data/real_scans`, whose README gives their origin and licences.
Neither has a whole neck.
"""

import pathlib

import numpy as np
import pytest

from tests.data.dicoms import write_series
from tests.experiments.test_prepare import prepare
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.sources.pairs import read_pair
from xctrs_tf.data.volumes.volume import Volume, write_volume

SCANS = pathlib.Path(__file__).parents[1] / "real_scans"
# CT and labels in TotalSegmentator's numbers; rows run to the front in both files.
CHEST = SCANS / "chest_ct.nii.gz", SCANS / "chest_seg.nii.gz"
# CT and labels of L1 to L3 in VerSe's numbers; slices run to the right in both files.
LUMBAR = SCANS / "lumbar_ct.nii.gz", SCANS / "lumbar_seg.nii.gz"

# The seven uppermost thoracic vertebrae stand in for C1..C7.
THORACIC = "43:1,42:2,41:3,40:4,39:5,38:6,37:7"


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def test_c7_of_the_chest_is_where_totalsegmentator_says(tmp_path):
    for file, name in zip(CHEST, ("ct.nii.gz", "segmentations.nii.gz"), strict=True):
        link(file, tmp_path / "s0001" / name)
    source = open_collections(["totalsegmentator"], [tmp_path])
    raw = source.load("s0001")
    c7 = raw.labels.array == 7
    assert 5_000 < c7.sum() * np.prod(raw.ct.spacing_mm) < 25_000  # mm^3
    assert np.median(raw.ct.array[c7]) > 200
    # C7 lies in the scan's upper tenth, and its spinous process points to the back.
    x, y, z = np.nonzero(c7)
    assert z.min() > 0.85 * raw.ct.array.shape[2]
    middle = np.abs(x - np.median(x)) < 4
    assert y[middle].max() - np.median(y) > 15 / raw.ct.spacing_mm[1]
    cropped, reasons = crop_patient(source, "s0001", 32, 4.0)
    assert cropped is None
    assert reasons[0].startswith("s0001/ct.nii.gz: label C1, C2") and "C7" not in reasons[0]


def test_a_real_scan_through_the_command_line(tmp_path):
    for file, suffix in zip(CHEST, ("ct", "seg"), strict=True):
        link(file, tmp_path / "in" / f"chest_{suffix}.nii.gz")
    flags = ("--source=nifti", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    result = prepare(*flags, f"--label_map={THORACIC}", "--size=64")
    assert (result.returncode, result.stderr) == (0, "")
    case = open_dataset(tmp_path / "out").load("chest")
    # T1..T7 are taller than a neck: the voxels have grown.
    assert 2.0 < case.spacing_mm < 3.5
    heights = [np.nonzero(case.segmentation == label)[2].mean() for label in range(1, 8)]
    assert (np.diff(heights) < 0).all()
    for label in range(1, 8):
        assert np.median(case.ct[case.segmentation == label]) > 150
    assert prepare(f"--check={tmp_path / 'out'}").returncode == 0
    assert (tmp_path / "out/check/chest.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("mirrored", "words"),
    [
        (np.s_[:, :, :], "physical space"),
        (np.s_[::-1, :, ::-1], "mirrored along xz against the header"),
    ],
)
def test_bone_tells_how_a_header_mirrors_the_labels(tmp_path, mirrored, words):
    label_map = {44 - number: number for number in range(1, 8)}
    ct, labels = read_pair(*CHEST, label_map)
    # Every second voxel across makes a series that is quickly written.
    ct = Volume(ct.array[::2, ::2].round().clip(-1024, 3071).astype(np.int16), *thin(ct))
    labels = Volume(labels.array[::2, ::2], *thin(labels))
    write_series(tmp_path / "train_images" / "1.2", ct)
    (tmp_path / "segmentations").mkdir()
    file = tmp_path / "segmentations" / "1.2.nii"
    write_volume(file, labels.array[mirrored], labels.spacing_mm, labels.origin_mm)
    raw = open_collections(["rsna2022"], [tmp_path]).load("1.2")
    np.testing.assert_array_equal(raw.ct.array, ct.array)
    np.testing.assert_array_equal(raw.labels.array, labels.array)
    assert raw.notes["label_placing"].startswith(words)


def thin(volume):
    x, y, z = volume.spacing_mm
    return (2 * x, 2 * y, z), volume.origin_mm


def test_verses_lumbar_vertebrae_are_on_bone_and_no_neck(tmp_path):
    link(LUMBAR[0], tmp_path / "rawdata/sub-ct/sub-ct_ct.nii.gz")
    link(LUMBAR[1], tmp_path / "derivatives/sub-ct/sub-ct_seg-vert_msk.nii.gz")
    source = open_collections(["verse"], [tmp_path])
    cropped, reasons = crop_patient(source, "ct", 32, 4.0)
    assert cropped is None
    file = "rawdata/sub-ct/sub-ct_ct.nii.gz"
    assert reasons == [f"{file}: label C1, C2, C3, C4, C5, C6, C7 missing"]
    ct, labels = read_pair(*LUMBAR, {21: 1, 22: 2, 23: 3})
    heights = [np.nonzero(labels.array == label)[2].mean() for label in (1, 2, 3)]
    assert (np.diff(heights) < 0).all()
    assert np.median(ct.array[labels.array == 2]) > 150
