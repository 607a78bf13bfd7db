"""Parts of one scan in VerSe: joined where their geometry says so, else taken as they are."""

import numpy as np
import pytest

from tests.data import layouts
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck
from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.data.dataset.header_correction import CorrectedSource
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.files import sha256_of

# Planes of the neck in the lower and the upper part; both cut a vertebra.
LOWER, UPPER = slice(0, 27), slice(22, 46)
STEM = "training/rawdata/sub-verse417/sub-verse417_split-verse"
NAMES = [f"{STEM}{number}_ct.nii.gz" for number in (276, 277)]


def files_of(root, part):
    folder = root / "training"
    stem = f"sub-verse417/sub-verse417_split-{part}"
    ct = folder / "rawdata" / f"{stem}_ct.nii.gz"
    labels = folder / "derivatives" / f"{stem}_seg-vert_msk.nii.gz"
    for file in (ct, labels):
        file.parent.mkdir(parents=True, exist_ok=True)
    return ct, labels


def write_part(root, part, planes, seed=0, change=None, move_mm=0.0):
    """Write planes of a neck as a part; ``change`` gets CT and labels of the part."""
    arrays = [volume.array[:, :, planes].copy() for volume in make_neck(seed)]
    if change:
        change(*arrays)
    x, y, z = ORIGIN_MM
    origin_mm = (x, y, z + planes.start * SPACING_MM[2] + move_mm)
    for file, array in zip(files_of(root, part), arrays, strict=True):
        write_volume(file, array, SPACING_MM, origin_mm)


def leave_out_cut(ct, labels):
    """Leave vertebrae out that the upper border of a part cuts."""
    del ct
    labels[np.isin(labels, labels[:, :, -1])] = 0


def open_verse(root):
    return open_collections(["verse"], [root])


@pytest.mark.parametrize("change", [None, leave_out_cut])
def test_parts_that_overlap_are_one_neck(tmp_path, change):
    # The upper part comes first by its name.
    write_part(tmp_path, "verse276", UPPER)
    write_part(tmp_path, "verse277", LOWER, change=change)
    source = open_verse(tmp_path)
    scan, *others = source.scans("verse417")
    assert others == NAMES
    layouts.assert_is_the_neck(source.load(scan))
    record = source.record(scan)
    assert record["source_file"] == NAMES[0]
    assert record["source_files"] == NAMES
    files = [file for part in ("verse276", "verse277") for file in files_of(tmp_path, part)]
    assert record["source_sha256"] == sha256_of(*files)
    assert (record["source"], record["licence"]) == ("verse", "CC BY-SA 4.0")
    cropped, reasons = crop_patient(source, "verse417", 32, 3.0)
    assert reasons == []
    assert cropped.record["source_files"] == NAMES
    assert cropped.record["scan_size"] == [40, 52, 46]


def test_layouts_in_two_folders_have_one_patient(tmp_path):
    write_part(tmp_path / "bids", "verse276", UPPER)
    write_part(tmp_path / "bids", "verse277", LOWER)
    folder = tmp_path / "challenge"
    folder.mkdir()
    for volume, suffix in zip(make_neck(), ("", "_seg"), strict=True):
        write_volume(folder / f"verse277{suffix}.nii.gz", volume.array, SPACING_MM, ORIGIN_MM)
    for order in (("bids", "challenge"), ("challenge", "bids")):
        source = open_collections(["verse"], [tmp_path / name for name in order])
        assert source.ids == ["verse417"]
        names = [key for _, key in source.scans("verse417")]
        assert sorted(names, key=str) == sorted([tuple(NAMES), *NAMES, "verse277.nii.gz"], key=str)


def test_parts_that_adjoin_are_one_neck(tmp_path):
    write_part(tmp_path, "verse276", slice(0, 20))
    write_part(tmp_path, "verse277", slice(20, 33))
    write_part(tmp_path, "verse278", slice(33, 46))
    source = open_verse(tmp_path)
    layouts.assert_is_the_neck(source.load(source.scans("verse417")[0]))


def test_oblique_parts_in_another_order_of_axes_are_joined_before_they_are_resampled(tmp_path):
    angle = np.deg2rad(5)
    direction = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    ct, labels = make_neck()

    def write(part, planes, flip):
        origin_mm = ORIGIN_MM + np.array(direction) @ (0, 0, planes.start * SPACING_MM[2])
        affine = lps_to_ras(SPACING_MM, origin_mm, direction)
        for file, volume in zip(files_of(tmp_path, part), (ct, labels), strict=True):
            array, stored = volume.array[:, :, planes], affine
            if flip:
                # The same voxels, the first index from left to right.
                array, stored = array[::-1], affine.copy()
                stored[:, 3] += affine[:, 0] * (len(array) - 1)
                stored[:, 0] *= -1
            write_nifti(file, array, stored)

    write("verse276", LOWER, False)
    write("verse277", UPPER, True)
    source = open_verse(tmp_path)
    joined = source.load(source.scans("verse417")[0])
    for file, volume in zip(files_of(tmp_path, "verse276"), (ct, labels), strict=True):
        write_nifti(file, volume.array, lps_to_ras(SPACING_MM, ORIGIN_MM, direction))
    whole = open_verse(tmp_path).load(NAMES[0])
    np.testing.assert_array_equal(joined.ct.array, whole.ct.array)
    np.testing.assert_array_equal(joined.labels.array, whole.labels.array)
    np.testing.assert_allclose(joined.ct.origin_mm, whole.ct.origin_mm, atol=1e-3)


@pytest.mark.parametrize("move_mm", [0.6, 12.5])
def test_parts_that_do_not_fit_in_space_are_taken_as_before(tmp_path, move_mm):
    # The first has no whole neck, the second has; they are scans of their own.
    write_part(tmp_path, "verse276", slice(0, 20))
    write_part(tmp_path, "verse277", slice(0, 46), seed=1, move_mm=20 * SPACING_MM[2] + move_mm)
    source = open_verse(tmp_path)
    assert source.scans("verse417") == NAMES
    cropped, reasons = crop_patient(source, "verse417", 32, 3.0)
    assert reasons == [f"{NAMES[0]}: label C1, C2, C3, C4 missing"]
    assert cropped.record["source_file"] == NAMES[1]
    assert "source_files" not in cropped.record


def test_parts_with_other_ct_numbers_in_their_overlap_are_told_and_taken_alone(tmp_path):
    write_part(tmp_path, "verse276", slice(0, 46))
    # Another neck, whose grid overlaps that of the first by 16 planes.
    write_part(tmp_path, "verse277", slice(0, 46), seed=1, move_mm=30 * SPACING_MM[2])
    source = open_verse(tmp_path)
    assert len(source.scans("verse417")) == 3
    cropped, reasons = crop_patient(source, "verse417", 32, 3.0)
    assert len(reasons) == 1 and "voxels that both show" in reasons[0]
    assert NAMES[1] in reasons[0] and NAMES[0] in reasons[0]
    assert cropped.record["source_file"] == NAMES[0]


def without_c3(ct, labels):
    del ct
    labels[labels == 3] = 0


def test_a_fault_of_the_whole_names_all_parts(tmp_path):
    write_part(tmp_path, "verse276", LOWER, change=without_c3)
    write_part(tmp_path, "verse277", UPPER, change=without_c3)
    cropped, reasons = crop_patient(open_verse(tmp_path), "verse417", 32, 3.0)
    assert cropped is None
    assert reasons[0] == f"{NAMES[0]} + {NAMES[1]}: label C3 missing"
    assert len(reasons) == 3


def test_a_damaged_part_or_missing_labels_leave_the_other_part(tmp_path):
    write_part(tmp_path, "verse276", slice(0, 46))
    write_part(tmp_path, "verse277", slice(40, 46))
    ct, labels = files_of(tmp_path, "verse277")
    ct.write_bytes(b"no image")
    source = open_verse(tmp_path)
    assert source.scans("verse417") == NAMES
    assert crop_patient(source, "verse417", 32, 3.0)[0].record["source_file"] == NAMES[0]
    write_part(tmp_path, "verse276", slice(0, 40))
    write_part(tmp_path, "verse277", slice(40, 46))
    labels.unlink()
    cropped, reasons = crop_patient(open_verse(tmp_path), "verse417", 32, 3.0)
    assert reasons[0] == f"{labels}: no such file"
    assert cropped.record["source_file"] == NAMES[0]


def test_a_part_of_an_impossible_size_leaves_the_other_part(tmp_path):
    write_part(tmp_path, "verse276", slice(0, 46))
    write_part(tmp_path, "verse277", slice(40, 46))
    header = bytearray(544)
    for place, kind, numbers in (
        (0, "<i4", [540]),
        (12, "<i2", [4, 16]),
        (16, "<i8", [3, 2**40, 2**40, 2**40]),
        (104, "<f8", [1, 2, 2, 2]),
        (168, "<i8", [544]),
        (348, "<i4", [1]),
        (400, "<f8", np.diag([2.0] * 4)[:3].ravel()),
    ):
        content = np.array(numbers, kind).tobytes()
        header[place : place + len(content)] = content
    header[4:7] = b"n+2"
    large = files_of(tmp_path, "verse277")[0]
    large.write_bytes(header)
    cropped, reasons = crop_patient(open_verse(tmp_path), "verse417", 32, 3.0)
    assert cropped.record["source_file"] == NAMES[0] and reasons == []
    # Alone it is refused for the same reason.
    files_of(tmp_path, "verse276")[0].unlink()
    size = " x ".join(["1099511627776"] * 3)
    reasons = crop_patient(open_verse(tmp_path), "verse417", 32, 3.0)[1]
    assert f"{large}: {size} voxels are over 1074 MB; cut out the neck first" in reasons


def test_a_corrected_or_merged_source_joins_parts_too(tmp_path):
    write_part(tmp_path / "a", "verse276", LOWER)
    write_part(tmp_path / "a", "verse277", UPPER)
    layouts.write_verse_bids(tmp_path / "b", "verse005", seed=1)
    source = open_collections(["verse"], [tmp_path / "a", tmp_path / "b"])
    layouts.assert_is_the_neck(source.load(source.scans("verse417")[0]))
    corrected = CorrectedSource(source, {"verse417": "rotate180y"})
    raw = corrected.load(corrected.scans("verse417")[0])
    np.testing.assert_array_equal(raw.ct.array, make_neck()[0].array[::-1, :, ::-1])
