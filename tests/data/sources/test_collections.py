"""Tests of each public collection on a tiny copy of its layout."""

import numpy as np
import pytest

from tests.data import layouts
from tests.data.necks import make_neck
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources import label_maps
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError


def test_verse_bids(tmp_path):
    layouts.write_verse_bids(tmp_path, "verse004")
    layouts.write_verse_bids(tmp_path, "gl016", "_dir-ax", "test", seed=1)
    (tmp_path / "training/rawdata/sub-verse004/._sub-verse004_ct.nii.gz").write_text(
        "a Mac's", encoding="utf-8"
    )
    source = open_collections(["verse"], [tmp_path])
    assert source.ids == ["gl016", "verse004"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "verse004"))
    layouts.assert_is_the_neck(layouts.only_scan(source, "gl016"), seed=1)
    record = source.record(source.scans("gl016")[0])
    assert record["source_file"] == "test/rawdata/sub-gl016/sub-gl016_dir-ax_ct.nii.gz"
    assert (record["source"], record["licence"]) == ("verse", "CC BY-SA 4.0")


def test_verse_of_the_challenges(tmp_path):
    for seed, name in enumerate(("verse010", "verse500_CT-iso", "GL003_CT_ax")):
        folder = tmp_path / "training" / name.split("_")[0]
        layouts.write_pair(folder / f"{name}.nii.gz", folder / f"{name}_seg.nii.gz", seed)
    source = open_collections(["verse"], [tmp_path])
    assert source.ids == ["gl003", "verse010", "verse500"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "gl003"), seed=2)


def test_verse_parts_and_years_of_one_subject_are_one_patient(tmp_path):
    # The upper part lacks a vertebra; the lower part is complete.
    layouts.write_verse_bids(
        tmp_path / "19", "verse417", "_split-verse276", spoil=layouts.without_c3
    )
    layouts.write_verse_bids(tmp_path / "19", "verse417", "_split-verse277", seed=1)
    layouts.write_verse_bids(tmp_path / "20", "verse417", "_split-verse277", seed=1)
    folder = tmp_path / "challenge"
    layouts.write_pair(folder / "verse277.nii.gz", folder / "verse277_seg.nii.gz", 1)
    source = open_collections(["verse"], [tmp_path])
    assert source.ids == ["verse417"]
    assert len(source.scans("verse417")) == 4
    cropped, reasons = crop_patient(source, "verse417", 32, 3.0)
    stem = "19/training/rawdata/sub-verse417/sub-verse417_split-verse"
    assert cropped.record["source_file"] == f"{stem}277_ct.nii.gz"
    assert reasons == [f"{stem}276_ct.nii.gz: label C3 missing"]


def test_verse_without_labels(tmp_path):
    layouts.write_verse_bids(tmp_path, "verse004")
    labels = next(tmp_path.rglob("*_msk.nii.gz"))
    labels.unlink()
    source = open_collections(["verse"], [tmp_path])
    assert crop_patient(source, "verse004", 32, 3.0) == (None, [f"{labels}: no such file"])


@pytest.mark.parametrize(
    ("ct", "labels"),
    [
        ("HN_P001.nii.gz", "HN_P001_seg.nii.gz"),
        ("volumes/HNSCC-3DCT-RT/HN_P001.nii.gz", "labels/HNSCC-3DCT-RT/HN_P001_seg.nii.gz"),
        ("data/a/HN_P001.nii.gz", "label/HN_P001_seg.nii.gz"),
    ],
)
def test_ctspine1k(tmp_path, ct, labels):
    layouts.write_pair(tmp_path / ct, tmp_path / labels, spoil=layouts.with_t1_and_l1)
    source = open_collections(["ctspine1k"], [tmp_path])
    assert source.ids == ["HN_P001"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "HN_P001"))
    assert source.record(ct)["licence"] == "CC BY-NC-SA"


def test_ctspine1k_names(tmp_path):
    for name in ("a/1", "b/1", "b/2"):
        layouts.write_pair(tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_seg.nii.gz")
    source = open_collections(["ctspine1k"], [tmp_path])
    assert source.ids == ["2"]
    files = [tmp_path / f"{folder}/1.nii.gz" for folder in "ab"]
    assert source.unusable == {"1": f"{files[0]}: id '1' is also that of {files[1]}; rename one"}


def test_ctspine1k_with_two_label_files(tmp_path):
    for kind in ("old", "new"):
        layouts.write_pair(tmp_path / "data/a/1.nii.gz", tmp_path / kind / "a/1_seg.nii.gz")
    files = [tmp_path / kind / "a/1_seg.nii.gz" for kind in ("new", "old")]
    reason = f"{files[1]}: the labels are also in {files[0]}; keep one"
    assert open_collections(["ctspine1k"], [tmp_path]).unusable == {"1": reason}
    # The folder of the CT's own name decides.
    files[1].rename(tmp_path / "old/1_seg.nii.gz")
    source = open_collections(["ctspine1k"], [tmp_path])
    assert (source.ids, source.unusable) == (["1"], {})


def test_totalsegmentator_masks(tmp_path):
    layouts.write_totalsegmentator(tmp_path, "s0011")
    source = open_collections(["totalsegmentator"], [tmp_path])
    assert source.ids == ["s0011"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "s0011"))
    before = source.record("s0011")
    assert (before["source_file"], before["licence"]) == ("s0011/ct.nii.gz", "CC BY 4.0")
    layouts.without_c3(array := make_neck()[1].array)
    empty = (array == 3).astype(np.uint8)
    ct = make_neck()[0]
    file = tmp_path / "s0011/segmentations/vertebrae_C3.nii.gz"
    write_volume(file, empty, ct.spacing_mm, ct.origin_mm)
    assert source.record("s0011")["source_sha256"] != before["source_sha256"]
    assert crop_patient(source, "s0011", 32, 3.0) == (
        None,
        ["s0011/ct.nii.gz: label C3 missing"],
    )
    file.unlink()
    assert crop_patient(source, "s0011", 32, 3.0) == (None, [f"{file}: no such file"])


def test_totalsegmentator_numbers_of_version_2(tmp_path):
    # 50 is C1 and 44 is C7; 43 is T1 and 91 the skull.
    number_of = np.array([0, 50, 49, 48, 47, 46, 45, 44, 43, 91], np.uint8)

    def others(labels):
        labels[1:3, 1:3, 1], labels[1:3, 1:3, 44] = 8, 9

    folder = tmp_path / "s0011"
    files = (folder / "ct.nii.gz", folder / "segmentations.nii.gz")
    layouts.write_pair(*files, number_of=number_of, spoil=others)
    source = open_collections(["totalsegmentator"], [tmp_path])
    layouts.assert_is_the_neck(layouts.only_scan(source, "s0011"))
    mask = folder / "segmentations/vertebrae_C3.nii.gz"
    mask.parent.mkdir()
    mask.touch()
    reason = f"{files[1]}: the labels are also in {mask}; keep one"
    assert crop_patient(source, "s0011", 32, 3.0) == (None, [reason])


def test_nifti_with_a_label_map(tmp_path):
    number_of = np.array([0, 20, 21, 22, 23, 24, 25, 26, 1], np.uint8)
    files = (tmp_path / "a_ct.nii.gz", tmp_path / "a_seg.nii.gz")

    def others(labels):
        labels[1:3, 1:3, 44] = 8

    layouts.write_pair(*files, number_of=number_of, spoil=others)
    label_map = label_maps.parse_label_map("20:1,21:2,22:3,23:4,24:5,25:6,26:7")
    source = open_collections(["nifti"], [tmp_path], label_map=label_map)
    layouts.assert_is_the_neck(layouts.only_scan(source, "a"))


def test_rsna2022(tmp_path):
    for name in ("1.2.3", "1.2.4"):
        layouts.write_study(
            tmp_path / "train_images" / name, tmp_path / "segmentations" / f"{name}.nii"
        )
    (tmp_path / "segmentations/1.2.4.nii").unlink()
    source = open_collections(["rsna2022"], [tmp_path])
    assert source.ids == ["1.2.3"]
    raw = layouts.only_scan(source, "1.2.3")
    layouts.assert_is_the_neck(raw)
    assert raw.notes == {"label_placing": "physical space"}


@pytest.mark.parametrize(
    ("mirrored", "axes"),
    [
        (np.s_[:, :, ::-1], "z"),
        (np.s_[:, ::-1, ::-1], "yz"),
        (np.s_[::-1, ::-1], "xy"),
        (np.s_[::-1, :, ::-1], "xz"),
    ],
)
def test_rsna2022_labels_whose_header_mirrors_them(tmp_path, mirrored, axes):
    files = (tmp_path / "train_images/1.2.3", tmp_path / "segmentations/1.2.3.nii")
    layouts.write_study(*files, mirrored=mirrored)
    raw = layouts.only_scan(open_collections(["rsna2022"], [tmp_path]), "1.2.3")
    layouts.assert_is_the_neck(raw)
    words = raw.notes["label_placing"]
    assert words.startswith(f"mirrored along {axes} against the header: 100% on bone, as stored ")


def test_dicom_one_series_and_a_label_file(tmp_path):
    layouts.write_study(tmp_path / "images", tmp_path / "labels.nii.gz")
    source = open_collections(
        ["dicom"], [tmp_path / "images"], labels=str(tmp_path / "labels.nii.gz")
    )
    assert source.ids == ["images"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "images"))


def test_dicom_folders_and_label_files(tmp_path):
    for seed, name in enumerate(("a", "b", "c")):
        labels = tmp_path / "labels" / f"{name}{'_seg' * seed}.nii.gz"
        layouts.write_study(tmp_path / "images" / name, labels, seed)
    source = open_collections(["dicom"], [tmp_path / "images"], labels=tmp_path / "labels")
    assert source.ids == ["a", "b", "c"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "b"), seed=1)
    missing = tmp_path / "labels" / "c_seg.nii.gz"
    assert crop_patient(source, "c", 32, 3.0) == (None, [f"{missing}: no such file"])


def test_dicom_labels_of_another_shape(tmp_path):
    files = (tmp_path / "images/a", tmp_path / "labels/a.nii")
    layouts.write_study(*files, mirrored=np.s_[:, :, :45])
    source = open_collections(["dicom"], [tmp_path / "images"], labels=tmp_path / "labels")
    with pytest.raises(UserError, match=r"a\.nii: 40 x 52 x 45 voxels, its CT 40 x 52 x 46"):
        layouts.only_scan(source, "a")


def test_openkbp(tmp_path):
    ct, labels = layouts.openkbp_neck()
    layouts.write_openkbp(tmp_path / "data/train-pats/pt_4", ct)
    (tmp_path / "labels").mkdir()
    file = tmp_path / "labels/pt_4_seg.nii.gz"
    write_volume(file, labels.array, labels.spacing_mm, labels.origin_mm)
    source = open_collections(["openkbp"], [tmp_path / "data"], labels=tmp_path / "labels")
    assert source.ids == ["pt_4"]
    raw = layouts.only_scan(source, "pt_4")
    np.testing.assert_array_equal(raw.ct.array, ct.array)
    np.testing.assert_allclose(raw.ct.spacing_mm, ct.spacing_mm)
    cropped, reasons = crop_patient(source, "pt_4", 32, 3.0)
    assert reasons == []
    # The labels lie on their bones, although their file is a smaller box.
    hu, segmentation = cropped.ct.array, cropped.segmentation.array
    for number in range(1, 8):
        assert hu[segmentation == number].mean() > 450


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("ct.csv", ",data\n1,2\nx,3\n", r"ct\.csv: damaged"),
        ("ct.csv", ",data\n1,2\n3,\n", r"ct\.csv: damaged"),
        ("ct.csv", ",data\n1,2\n3,nan\n", r"ct\.csv: damaged"),
        ("ct.csv", ",data\n2097152,2\n", r"ct\.csv: voxels outside the grid of 128\^3"),
        ("voxel_dimensions.csv", "4.5\n0\n3\n", "a voxel size of zero"),
        ("voxel_dimensions.csv", "4.5\n4.5\n", r"voxel_dimensions\.csv: damaged; fetch"),
    ],
)
def test_openkbp_damaged_tables(tmp_path, file, text, message):
    folder = tmp_path / "pt_4"
    layouts.write_openkbp(folder, layouts.openkbp_neck()[0])
    (folder / file).write_text(text, encoding="utf-8")
    (tmp_path / "pt_4.nii.gz").write_bytes(b"not looked at")
    source = open_collections(["openkbp"], [tmp_path], labels=tmp_path)
    with pytest.raises(UserError, match=message):
        layouts.only_scan(source, "pt_4")


@pytest.mark.parametrize(
    "soften",
    [
        lambda mask: np.where(mask > 0, 0.9, 1e-3).astype(np.float32),
        lambda mask: np.where(mask > 0, 1.04, -0.04).astype(np.float32),
        lambda mask: mask * np.uint8(255),
    ],
)
def test_totalsegmentator_soft_masks_are_cut_at_a_half(tmp_path, soften):
    layouts.write_totalsegmentator(tmp_path, "s0011")
    rewrite_c3(tmp_path, soften)
    layouts.assert_is_the_neck(
        layouts.only_scan(open_collections(["totalsegmentator"], [tmp_path]), "s0011")
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda mask: np.where(mask > 0, 255, np.arange(mask.shape[2]) % 3).astype(np.uint8),
        lambda mask: np.where(mask > 0, 255, 0.3).astype(np.float32),
        lambda mask: mask.astype(np.int16) - 1,
    ],
)
def test_totalsegmentator_masks_of_several_values_are_refused(tmp_path, spoil):
    layouts.write_totalsegmentator(tmp_path, "s0011")
    rewrite_c3(tmp_path, spoil)
    source = open_collections(["totalsegmentator"], [tmp_path])
    with pytest.raises(UserError, match=r"vertebrae_C3\.nii\.gz: values from .* 0 and one other"):
        layouts.only_scan(source, "s0011")


def rewrite_c3(folder, function):
    ct, labels = make_neck()
    mask = function((labels.array == 3).astype(np.uint8))
    file = folder / "s0011/segmentations/vertebrae_C3.nii.gz"
    write_volume(file, mask, ct.spacing_mm, ct.origin_mm)


def test_folders_of_one_name_are_nobody_s(tmp_path):
    for seed, place in enumerate(("a/s1", "b/s1", "b/s2")):
        layouts.write_totalsegmentator(tmp_path, place, seed)
    source = open_collections(["totalsegmentator"], [tmp_path])
    assert source.ids == ["s2"]
    folders = [tmp_path / name for name in ("a/s1", "b/s1")]
    reason = f"{folders[0]}: id 's1' is also that of {folders[1]}; rename one"
    assert source.unusable == {"s1": reason}


def test_dicom_labels_in_two_files_are_refused(tmp_path):
    layouts.write_study(tmp_path / "images/a", tmp_path / "labels/a.nii")
    (tmp_path / "labels/a_seg.nii.gz").write_bytes(b"of another version")
    source = open_collections(["dicom"], [tmp_path / "images"], labels=tmp_path / "labels")
    with pytest.raises(UserError, match=r"a\.nii: the labels are also in a_seg\.nii\.gz; keep one"):
        layouts.only_scan(source, "a")


def test_verse_files_without_a_subject_are_left_out(tmp_path):
    layouts.write_verse_bids(tmp_path, "verse004")
    (tmp_path / "sub-_ct.nii.gz").write_bytes(b"nobody's")
    assert open_collections(["verse"], [tmp_path]).ids == ["verse004"]
