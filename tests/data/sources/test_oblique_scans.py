"""Oblique scans: a vertebra is cut by the border of the file, not of the box that holds it."""

import numpy as np
import pytest

from tests.data.dicoms import write_series
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck
from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.data.dataset.header_correction import CorrectedSource
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.geometry import VERTEBRAE

COS, SIN = np.cos(np.deg2rad(8)), np.sin(np.deg2rad(8))
TILTED = np.array([[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]])
# First planes of a neck that is whole, and of one without the lower half of C7.
WHOLE, CUT = 0, 7
CUT_REASON = "C7 is cut by the border of the scan"


def write(file, array, start, kind="i2"):
    """Write planes of a tilted neck that begin at ``start``."""
    origin_mm = ORIGIN_MM + TILTED[:, 2] * start * SPACING_MM[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(file, array, lps_to_ras(SPACING_MM, origin_mm, TILTED), kind=kind)


def nifti(root, ct, labels, start):
    write(root / "a_ct.nii", ct, start)
    write(root / "a_seg.nii", labels, start, "u1")
    return open_collections(["nifti"], [root])


def totalsegmentator(root, ct, labels, start):
    write(root / "a/ct.nii.gz", ct, start)
    for number, name in enumerate(VERTEBRAE, start=1):
        file = root / f"a/segmentations/vertebrae_{name}.nii.gz"
        write(file, labels == number, start, "u1")
    return open_collections(["totalsegmentator"], [root])


def verse_in_parts(root, ct, labels, start):
    for part, planes in (("verse1", slice(0, 20)), ("verse2", slice(20, None))):
        stem = f"sub-a/sub-a_split-{part}"
        first = start + planes.start
        write(root / f"training/rawdata/{stem}_ct.nii.gz", ct[..., planes], first)
        file = root / f"training/derivatives/{stem}_seg-vert_msk.nii.gz"
        write(file, labels[..., planes], first, "u1")
    return open_collections(["verse"], [root])


def dicom(root, ct, labels, start):
    origin_mm = ORIGIN_MM + TILTED[:, 2] * start * SPACING_MM[2]
    write_series(root / "in/a", Volume(ct, SPACING_MM, origin_mm), TILTED.T)
    write(root / "labels/a_seg.nii", labels, start, "u1")
    return open_collections(["dicom"], [root / "in"], root / "labels")


def crop(source):
    (patient,) = source.ids
    cropped, reasons = crop_patient(source, patient, 32, 3.0)
    return cropped is not None, [reason.partition(": ")[2] for reason in reasons]


@pytest.mark.parametrize("layout", [nifti, totalsegmentator, verse_in_parts, dicom])
@pytest.mark.parametrize(("start", "reasons"), [(WHOLE, []), (CUT, [CUT_REASON])])
def test_a_vertebra_cut_by_the_end_of_the_scan(tmp_path, layout, start, reasons):
    ct, labels = (volume.array[..., start:] for volume in make_neck())
    usable, found = crop(layout(tmp_path, ct, labels, start))
    # The parts of a scan cannot be used alone.
    assert (usable, found[: len(reasons)]) == (not reasons, reasons)


@pytest.mark.parametrize(("start", "reasons"), [(WHOLE, []), (CUT, [CUT_REASON])])
def test_a_corrected_header_keeps_the_border(tmp_path, start, reasons):
    ct, labels = (volume.array[..., start:] for volume in make_neck())
    # As of a header that has front and back, left and right exchanged.
    source = nifti(tmp_path, ct[::-1, ::-1], labels[::-1, ::-1], start)
    assert crop(CorrectedSource(source, {"a": "rotate180z"})) == (not reasons, reasons)


def test_oblique_labels_that_mirror_an_axis_are_put_right(tmp_path):
    ct, labels = (volume.array for volume in make_neck())
    write_series(tmp_path / "in/a", Volume(ct, SPACING_MM, ORIGIN_MM), TILTED.T)
    # The header mirrors front and back in place.
    mirror = np.diag([1, -1, 1])
    centre_mm = TILTED @ ((np.array(labels.shape) - 1) / 2 * SPACING_MM)
    first_mm = ORIGIN_MM + centre_mm - mirror @ centre_mm
    affine = lps_to_ras(SPACING_MM, first_mm, mirror @ TILTED)
    (tmp_path / "labels").mkdir()
    write_nifti(tmp_path / "labels/a_seg.nii", labels, affine, kind="u1")
    raw = open_collections(["dicom"], [tmp_path / "in"], tmp_path / "labels").load("a")
    np.testing.assert_array_equal(raw.labels.array, labels)
    np.testing.assert_array_equal(raw.labels.direction, raw.ct.direction)


def test_the_air_around_an_oblique_scan_is_not_that_of_the_scan(tmp_path):
    ct, labels = (volume.array for volume in make_neck())
    usable, (reason,) = crop(nifti(tmp_path, ct + 1000, labels, WHOLE))
    assert not usable and reason.startswith("no air (CT numbers 0 to 1607)")
