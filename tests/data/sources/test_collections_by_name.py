"""Tests of collections by name, of several at once, and of their options."""

import pytest

from tests.data import layouts
from tests.data.necks import write_neck
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources import label_maps
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.errors import UserError


def test_two_folders_of_one_collection(tmp_path):
    layouts.write_verse_bids(tmp_path / "a", "verse004", spoil=layouts.without_c3)
    layouts.write_verse_bids(tmp_path / "b", "verse004")
    layouts.write_verse_bids(tmp_path / "b", "verse005", seed=1)
    source = open_collections(["verse"], [tmp_path / "a", tmp_path / "b"])
    assert source.ids == ["verse004", "verse005"]
    cropped, reasons = crop_patient(source, "verse004", 32, 3.0)
    assert cropped.record["source"] == "verse"
    assert len(reasons) == 1 and reasons[0].endswith("label C3 missing")


def test_two_collections(tmp_path):
    for name in ("nifti", "verse"):
        (tmp_path / name).mkdir()
    write_neck(tmp_path / "nifti", "verse004")
    layouts.write_verse_bids(tmp_path / "verse", "verse004", seed=1)
    folders = [tmp_path / "verse", tmp_path / "nifti"]
    source = open_collections(["verse", "nifti"], folders)
    assert source.ids == ["nifti-verse004", "verse-verse004"]
    layouts.assert_is_the_neck(layouts.only_scan(source, "verse-verse004"), seed=1)
    assert source.record(source.scans("nifti-verse004")[0])["source"] == "nifti"


def test_two_folders_that_name_a_patient_alike(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_neck(tmp_path / name, "1")
    with pytest.raises(UserError, match="two folders name a patient '1'; rename one"):
        open_collections(["nifti"], [tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["verse", "nifti", "dicom"], {}, "--input: 1 for 3 sources; give one each"),
        (["verse"], {"select": ("a", "b")}, "--select: only nifti folders"),
        (["verse"], {"label_map": label_maps.CERVICAL}, "--label_map: verse has its own"),
        (["openkbp"], {}, "--labels: missing"),
        (["dicom"], {}, "--labels: missing"),
        (["nifti"], {"labels": "x"}, "--labels: only for dicom and openkbp; leave it out"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, names, options, message):
    with pytest.raises(UserError, match=message):
        open_collections(names, [tmp_path], **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ctspine1k", r"no CT; CTSpine1K has <name>\.nii\.gz"),
        ("totalsegmentator", r"no patients; TotalSegmentator has <id>/ct\.nii\.gz"),
        ("verse", r"no VerSe scan \(sub-\*_ct\.nii\.gz, or <name>\.nii\.gz\)"),
        ("rsna2022", "segmentations: no such folder"),
        ("nifti", r"no patients; name the files <id>_ct\.nii\.gz"),
    ],
)
def test_folders_without_patients(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        open_collections([name], [tmp_path])
    with pytest.raises(UserError, match="absent: no such folder"):
        open_collections([name], [tmp_path / "absent"])


@pytest.mark.parametrize("name", ["dicom", "openkbp"])
def test_folders_without_patients_that_need_labels(tmp_path, name):
    with pytest.raises(UserError, match=r"no (DICOM series|patients)"):
        open_collections([name], [tmp_path], labels=tmp_path)
    with pytest.raises(UserError, match="absent: no such folder"):
        open_collections([name], [tmp_path], labels=tmp_path / "absent")


def test_label_maps_by_name():
    assert label_maps.parse_label_map("cervical") == {number: number for number in range(1, 8)}
    assert label_maps.parse_label_map("totalsegmentator")[50] == 1
    assert label_maps.parse_label_map("totalsegmentator")[44] == 7
    assert label_maps.parse_label_map("totalsegmentator_v1")[41] == 1
    assert label_maps.parse_label_map("totalsegmentator_v1")[35] == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vertebrae", "write it as 20:1,21:2,... or name one of cervical, totalsegmentator"),
        ("1:1,2", "write it as"),
        ("1:1,2:2,3:3,4:4,5:5,6:6", "name each of 1..7"),
        ("1:1,2:2,3:3,4:4,5:5,6:6,7:8", "name each of 1..7"),
        ("1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:7", "name each of 1..7"),
        ("1:1,2:2,3:3,4:4,5:5,6:6,7:7,7:6", "a number of the file stands twice"),
        ("0:1,2:2,3:3,4:4,5:5,6:6,7:7", "a number of the file stands twice, or is 0"),
    ],
)
def test_wrong_label_maps_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        label_maps.parse_label_map(text)
