import shutil
import time

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.errors import UserError
from xctrs_tf.report.dicom_ct import ct_series, write_ct_series
from xctrs_tf.report.dicom_patient import patient_fields
from xctrs_tf.style import VERTEBRA_COLORS

SHAPE, SPACING, ORIGIN = (5, 7, 4), 1.25, (-3.5, 20.25, -100.123456)
# What made a reconstruction, as far as its date.
MADE = {
    "date": "2026-01-02T12:00:00+00:00",
    "models": [],
    "films": None,
    "mirror": False,
    "checks": {"views": True, "quality": "pass"},
}


@pytest.fixture
def ct():
    return np.random.default_rng(0).integers(-1024, 3000, SHAPE).astype(np.int16)


@pytest.fixture
def film(tmp_path):
    image = pydicom.Dataset()
    image.PatientName, image.PatientID, image.StudyInstanceUID = "Doe^Jane", "42", "1.2.3"
    image.StudyDate, image.OperatorsName, image.Modality = "20200102", "Nobody^Else", "DX"
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    image.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    image.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    return tmp_path / "film.dcm"


def test_series_reads_back_as_the_volume(tmp_path, ct):
    write_ct_series(tmp_path / "dicom", ct, SPACING, ORIGIN)
    assert len(list((tmp_path / "dicom").iterdir())) == SHAPE[2]
    volume = read_series(tmp_path / "dicom")
    np.testing.assert_array_equal(volume.array, ct)
    assert volume.spacing_mm == pytest.approx((SPACING,) * 3)
    assert volume.origin_mm == pytest.approx(ORIGIN, abs=1e-5)


def test_simpleitk_finds_one_upright_series(tmp_path, ct):
    write_ct_series(tmp_path / "dicom", ct, SPACING, ORIGIN)
    (series,) = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(tmp_path / "dicom"))
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "dicom"), series)
    image = sitk.ReadImage(names)
    assert image.GetSize() == SHAPE
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert image[4, 0, 3] == ct[4, 0, 3]


def test_header_describes_the_series(tmp_path, ct):
    write_ct_series(tmp_path / "dicom", ct, SPACING, ORIGIN)
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "dicom").iterdir())]
    assert len({image.SOPInstanceUID for image in images}) == SHAPE[2]
    assert len({image.FrameOfReferenceUID for image in images}) == 1
    assert [image.ImagePositionPatient[2] for image in images] == pytest.approx(
        ORIGIN[2] + SPACING * np.arange(4)
    )
    assert (images[0].Rows, images[0].Columns) == (7, 5)
    assert "not for diagnosis" in images[0].ImageComments
    assert list(images[0].ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert (images[0].PatientName or "") == ""
    # Fields that must be there, and may be empty.
    assert images[0]["PatientPosition"].value == ""


def test_same_volume_same_bytes_and_another_other_uids(tmp_path, ct):
    first, second, third = (tmp_path / name for name in "abc")
    write_ct_series(first, ct, SPACING, ORIGIN)
    write_ct_series(second, ct, SPACING, ORIGIN)
    write_ct_series(third, ct + 1, SPACING, ORIGIN)
    name = "slice-002.dcm"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    uids = [pydicom.dcmread(f / name) for f in (first, third)]
    for field in ("SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert uids[0][field].value != uids[1][field].value


def test_the_patient_is_copied_only_when_given(tmp_path, ct, film):
    write_ct_series(tmp_path / "dicom", ct, SPACING, ORIGIN, patient_fields(film))
    image = pydicom.dcmread(tmp_path / "dicom" / "slice-001.dcm")
    assert (image.PatientName, image.PatientID, image.StudyInstanceUID) == (
        "Doe^Jane",
        "42",
        "1.2.3",
    )
    assert "OperatorsName" not in image
    assert image.Modality == "CT"


def test_anonymous_series_of_two_patients_are_filed_apart(ct):
    first, second, again = (ct_series(each, SPACING, ORIGIN)[0] for each in (ct, ct + 1, ct))
    assert first.PatientID == again.PatientID != second.PatientID
    assert first.PatientID.startswith("RECON-")


def test_a_patient_without_an_id_gets_none(ct, film):
    fields = patient_fields(film)
    del fields.PatientID
    (image, *_) = ct_series(ct, SPACING, ORIGIN, fields)
    assert (image.PatientName, image.PatientID) == ("Doe^Jane", None)


def test_a_film_without_a_patient_is_refused(tmp_path):
    (tmp_path / "film.png").write_bytes(b"no film" * 99)
    with pytest.raises(UserError, match=r"film\.png: no DICOM file to copy the patient from"):
        patient_fields(tmp_path / "film.png")


def test_segmentation_reads_back(tmp_path, ct):
    pytest.importorskip("highdicom")
    import highdicom

    from xctrs_tf.report.dicom_segmentation import write_segmentation

    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:6, 1] = 2
    labels[3:, 4:, 2:] = 7
    slices = write_ct_series(tmp_path / "dicom", ct, SPACING, ORIGIN, provenance=MADE)
    for name in ("a.dcm", "b.dcm"):
        write_segmentation(tmp_path / name, labels, slices)
        # The second part of the time differs between the two.
        time.sleep(1.01)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    # The CT can be read with the segmentation beside it.
    shutil.copy(tmp_path / "a.dcm", tmp_path / "dicom" / "segmentation.dcm")
    np.testing.assert_array_equal(read_series(tmp_path / "dicom").array, ct)
    read = highdicom.seg.segread(tmp_path / "a.dcm")
    assert [segment.SegmentLabel for segment in read.SegmentSequence] == ["C2", "C7"]
    for segment, label in zip(read.SegmentSequence, (2, 7), strict=True):
        stored = list(segment.RecommendedDisplayCIELabValue)
        rgb = highdicom.color.CIELabColor.from_dicom_value(stored).to_rgb()
        np.testing.assert_allclose(rgb, 255 * np.array(VERTEBRA_COLORS[label - 1]), atol=1)
    assert read.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    # DICOM wants a date of the content.
    assert read.ContentDate == slices[0].InstanceCreationDate == "20260102"
    assert read.ContentTime == slices[0].InstanceCreationTime != ""
    volume = read.get_volume(combine_segments=False)
    for number, label in enumerate((2, 7)):
        for x, y, z in np.argwhere(labels == label)[::3]:
            place = np.array(ORIGIN) + SPACING * np.array([x, y, z])
            index = np.round(volume.map_reference_to_indices(place[np.newaxis])[0]).astype(int)
            assert volume.array[*index, number]
        assert volume.array[..., number].sum() == (labels == label).sum()


def test_a_segmentation_of_unknown_date_is_of_now(tmp_path, ct):
    pytest.importorskip("highdicom")
    from xctrs_tf.report.dicom_segmentation import write_segmentation

    slices = ct_series(ct, SPACING, ORIGIN)
    write_segmentation(tmp_path / "a.dcm", np.ones(SHAPE, np.uint8), slices)
    image = pydicom.dcmread(tmp_path / "a.dcm")
    assert len(image.ContentDate) == 8 and len(image.ContentTime) >= 6
