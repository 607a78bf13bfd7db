"""Tests of collections by name, of several at once, and of their options."""

import numpy as np
import pytest

from tests.data import layouts
from tests.data.dicoms import write_series
from tests.data.necks import write_neck
from xctrs_tf.data.dataset.preparation import crop_patient
from xctrs_tf.data.sources import label_maps
from xctrs_tf.data.sources.collections import AUTO, open_collections
from xctrs_tf.data.volumes.volume import Volume
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


@pytest.mark.parametrize("second", ["neck1", "NECK1"])
def test_two_folders_that_name_a_patient_alike(tmp_path, second):
    for name, patient in (("a", "neck1"), ("b", second)):
        (tmp_path / name).mkdir()
        write_neck(tmp_path / name, patient)
    with pytest.raises(UserError, match=f"two folders name a patient '{second}'; rename one"):
        open_collections(["nifti"], [tmp_path / "a", tmp_path / "b"])


def test_one_patient_in_two_spellings_is_one(tmp_path):
    for name, patient in (("a", "HN_P001"), ("b", "hn_p001")):
        folder = tmp_path / name
        layouts.write_pair(folder / f"{patient}.nii.gz", folder / f"{patient}_seg.nii.gz")
    source = open_collections(["ctspine1k"], [tmp_path / "a", tmp_path / "b"])
    assert source.ids == ["HN_P001"]
    assert [name for _, name in source.scans("HN_P001")] == ["HN_P001.nii.gz", "hn_p001.nii.gz"]


def write_series_of(folder, patient):
    """Write a short series with a PatientID, or without one."""
    volume = Volume(np.zeros((2, 2, 2), np.int16), (1.0,) * 3, (0.0,) * 3)

    def change(number, tags):
        if patient is not None:
            tags["0010|0020"] = patient

    write_series(folder, volume, change=change)


@pytest.mark.parametrize("inputs", [("in",), ("in", "more")])
def test_two_folders_with_one_patient_id_are_named_once(tmp_path, caplog, inputs):
    patients = {"a": "77", "b": "78", "c": "77 ", "d": None, "e": None, "f": "78", "g": "77"}
    for folder, patient in patients.items():
        place = tmp_path / ("more" if folder == "g" and "more" in inputs else "in") / folder
        write_series_of(place, patient)
    (tmp_path / "in/h").mkdir()
    (tmp_path / "in/h/1.dcm").write_bytes(b"junk")
    source = open_collections(["dicom"], [tmp_path / name for name in inputs], labels=AUTO)
    assert source.ids == [*"abcdefgh"]
    (line,) = caplog.messages
    names = f"{tmp_path}/in/a and {tmp_path}/in/c (and 3 more): the same PatientID"
    assert line.startswith(names) and "keep one of them" in line and "77" not in line.split(":")[1]


@pytest.mark.parametrize(
    ("names", "with_subjects", "warned"),
    [
        (["verse004", "verse005", "verse006"], False, True),
        (["verse004"], False, False),
        (["verse004", "verse004_CT-iso"], False, False),
        (["verse004", "verse276"], True, False),
    ],
    ids=["several", "one", "one twice", "told by the release"],
)
def test_scans_of_verse_whose_subject_is_not_known_are_told(
    tmp_path, caplog, names, with_subjects, warned
):
    folder = tmp_path / "challenge"
    for name in names:
        layouts.write_pair(folder / f"{name}.nii.gz", folder / f"{name}_seg.nii.gz", 1)
    if with_subjects:
        layouts.write_verse_bids(tmp_path / "all", "verse004")
        layouts.write_verse_bids(tmp_path / "all", "verse417", "_split-verse276")
    open_collections(["verse"], [tmp_path])
    if not warned:
        assert not caplog.messages
        return
    (line,) = caplog.messages
    assert line.startswith(
        f"{folder}/verse004.nii.gz and 2 more: the names do not tell the subject"
    )


def test_folders_of_several_patients_are_no_cause_for_a_warning(tmp_path, caplog):
    for folder, patient in (("a", "1"), ("b", "2"), ("c", None), ("d", None)):
        write_series_of(tmp_path / folder, patient)
    open_collections(["dicom"], [tmp_path], labels=AUTO)
    assert caplog.messages == []


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
