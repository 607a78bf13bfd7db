import numpy as np
import pytest

from experiments.neck_finder.prepared_scans import PreparedScans
from tests.data.layouts import write_pair
from tests.data.necks import make_neck
from tests.experiments.preparing import nifti_flags, prepare
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.volume import read_labels, write_volume
from xctrs_tf.errors import UserError


@pytest.fixture
def prepared(tmp_path):
    """Folder of two scans and the data made of them; the header of ``b`` is corrected."""
    for seed, name in enumerate("ab"):
        write_pair(*(tmp_path / "in" / f"{name}_{kind}.nii.gz" for kind in ("ct", "seg")), seed)
    result = prepare(*nifti_flags(tmp_path), "--spacing_mm=3", "--header=b:rotate180z")
    assert result.returncode == 0, result.stdout + result.stderr
    return tmp_path / "in", open_dataset(tmp_path / "out")


def pad(folder, name, edge):
    """Make a scan reach further than its labels, as a whole scan does beyond a crop."""
    ct, labels = make_neck("ab".index(name))
    origin_mm = tuple(np.subtract(ct.origin_mm, np.multiply(edge, ct.spacing_mm)))
    padded = np.pad(ct.array, edge, constant_values=-1000)
    write_volume(folder / f"{name}_ct.nii.gz", padded, ct.spacing_mm, origin_mm)
    return ct, labels


def test_scans_are_read_as_they_were_prepared(prepared):
    folder, dataset = prepared
    ct, labels = pad(folder, "a", 8)
    found_ct, found_labels = PreparedScans(folder, dataset).load("a")
    np.testing.assert_array_equal(found_ct.array[8:-8, 8:-8, 8:-8], ct.array)
    np.testing.assert_array_equal(found_labels.array, labels.array)
    ct, labels = make_neck(1)
    for found, volume in zip(PreparedScans(folder, dataset).load("b"), (ct, labels), strict=True):
        np.testing.assert_array_equal(found.array, volume.array[::-1, ::-1])


def test_labels_elsewhere_are_refused(prepared):
    folder, dataset = prepared
    labels = read_labels(folder / "a_seg.nii.gz")
    far_mm = tuple(np.add(labels.origin_mm, (0, 0, 400)))
    write_volume(folder / "a_seg.nii.gz", labels.array, labels.spacing_mm, far_mm)
    with pytest.raises(UserError, match=r"a_ct.nii.gz: C1 to C7 reach beyond the scan"):
        PreparedScans(folder, dataset).load("a")


@pytest.mark.parametrize(
    ("shift_mm", "refused"), [((0, 0, 5), False), ((0, 0, -9), True), ((9, 0, 0), True)]
)
def test_labels_of_another_place_are_refused(prepared, shift_mm, refused):
    folder, dataset = prepared
    _, labels = pad(folder, "a", 8)
    origin_mm = tuple(np.add(labels.origin_mm, shift_mm))
    write_volume(folder / "a_seg.nii.gz", labels.array, labels.spacing_mm, origin_mm)
    scans = PreparedScans(folder, dataset)
    if not refused:
        scans.load("a")
        return
    with pytest.raises(UserError, match=r"a_seg.nii.gz: its C1 to C7 lie elsewhere than in --data"):
        scans.load("a")


@pytest.mark.parametrize(
    "change",
    [
        # The header was not corrected as that of the data was.
        lambda array: array[::-1, ::-1],
        # Another scan of this name: its neck lies elsewhere.
        lambda array: np.roll(array, 4, axis=0),
    ],
    ids=["turned", "another"],
)
def test_a_scan_that_is_not_that_of_the_data_is_refused(prepared, change):
    folder, dataset = prepared
    for volume, kind in zip(make_neck(0), ("ct", "seg"), strict=True):
        array = change(volume.array)
        write_volume(folder / f"a_{kind}.nii.gz", array, volume.spacing_mm, volume.origin_mm)
    with pytest.raises(UserError, match=r"a_ct.nii.gz: shows another neck, or in another place"):
        PreparedScans(folder, dataset).load("a")
