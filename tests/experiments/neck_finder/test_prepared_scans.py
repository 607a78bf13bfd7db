import numpy as np
import pytest

from experiments.neck_finder.prepared_scans import PreparedScans
from tests.data.layouts import write_pair
from tests.data.necks import make_neck
from tests.experiments.preparing import nifti_flags, prepare
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.volume import read_labels, write_volume
from xctrs_tf.errors import UserError

# The files' numbers of no label and of C1 to C7.
NUMBERS = np.array([0, 11, 12, 13, 14, 15, 16, 17], np.uint8)
LABEL_MAP = "--label_map=" + ",".join(f"{NUMBERS[n]}:{n}" for n in range(1, 8))


@pytest.fixture
def prepared(tmp_path):
    """Folder of two scans and the data made of them; the header of ``b`` is corrected."""
    for seed, name in enumerate("ab"):
        files = (tmp_path / "in" / f"{name}_{kind}.nii.gz" for kind in ("ct", "seg"))
        write_pair(*files, seed, NUMBERS)
    flags = (*nifti_flags(tmp_path), "--spacing_mm=3", LABEL_MAP, "--header=b:rotate180z")
    result = prepare(*flags)
    assert result.returncode == 0, result.stdout + result.stderr
    return tmp_path / "in", open_dataset(tmp_path / "out")


def test_scans_are_read_as_they_were_prepared(prepared):
    folder, dataset = prepared
    scans = PreparedScans(folder, dataset)
    for seed, name in enumerate("ab"):
        raw, (ct, labels) = scans.load(name), make_neck(seed)
        turn = (slice(None, None, -1),) * 2 if name == "b" else ()
        np.testing.assert_array_equal(raw.ct.array, ct.array[turn])
        np.testing.assert_array_equal(raw.labels.array, labels.array[turn])


def test_what_is_no_scan_of_the_data_is_refused(prepared):
    folder, dataset = prepared
    labels = read_labels(folder / "a_seg.nii.gz")
    far_mm = tuple(np.add(labels.origin_mm, (0, 0, 400)))
    write_volume(folder / "a_seg.nii.gz", labels.array, labels.spacing_mm, far_mm)
    write_pair(folder / "b_ct.nii.gz", folder / "b_seg.nii.gz", 5, NUMBERS)
    scans = PreparedScans(folder, dataset)
    with pytest.raises(UserError, match="a_seg"):
        scans.load("a")
    with pytest.raises(UserError, match="patient b: not the scan that --data was prepared from"):
        scans.load("b")
    (folder / "b_ct.nii.gz").unlink()
    with pytest.raises(UserError, match="no scan of patient b of --data"):
        PreparedScans(folder, dataset).load("b")
