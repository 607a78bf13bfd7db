"""Headers of CT slices that are odd or contradict each other."""

import os
import re

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.data.dicoms import write_series
from tests.data.niftis import lps_to_ras, write_nifti
from tests.data.volumes.dicom_slices.slices import (
    ARRAY,
    ORIGIN_MM,
    SPACING_MM,
    assert_as_stored,
    edit,
    setting,
)
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.sources.dicom_studies import DicomSource
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"SOPClassUID": "1.2.3.4.5.6"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"SpacingBetweenSlices": "-2.5"},
        {"SpacingBetweenSlices": "1"},
        {"SliceThickness": "1"},
        {"Modality": None},
    ],
)
def test_fields_that_do_not_place_a_slice_change_nothing(series, tags):
    def change(data):
        setting(**tags)(data)
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID

    edit(series, change)
    assert_as_stored(series)


def test_decimal_commas(series):
    for file in series.iterdir():
        content = file.read_bytes()
        assert content.count(b".75\\.75") == 1
        file.write_bytes(
            content.replace(b".75\\.75", b",75\\,75").replace(b"-40.250000", b"-40,250000")
        )
    assert_as_stored(series)


def test_a_comma_that_may_separate_thousands(series):
    file = sorted(series.iterdir())[1]
    content = file.read_bytes()
    assert content.count(b"-1024 ") == 1
    file.write_bytes(content.replace(b"-1024 ", b"-1,024"))
    with pytest.raises(UserError, match="RescaleIntercept is -1,024, with a comma for a point or"):
        read_series(series)


@pytest.mark.parametrize("names", [lambda n: f"IM{n}", lambda n: f"{n}.ima", lambda n: f"{n}.x.y"])
def test_slices_with_and_without_a_suffix_are_all_read(series, names):
    for number, file in enumerate(sorted(series.iterdir())[2:]):
        file.rename(series / names(number))
    (series / "notes.txt").write_text("mine", encoding="utf-8")
    assert_as_stored(series)


@pytest.mark.parametrize("preamble", [b"", bytes(128)])
def test_files_without_preamble_or_magic_and_meta_header(series, preamble):
    for file in sorted(series.iterdir())[2:]:
        data = pydicom.dcmread(file)
        file.unlink()
        bare = file.with_suffix("")
        pydicom.dcmwrite(bare, without_meta(data), implicit_vr=True, little_endian=True)
        bare.write_bytes(preamble + bare.read_bytes())
    assert_as_stored(series)


def without_meta(data):
    plain = Dataset()
    plain.update({element.tag: element for element in data})
    return plain


def test_a_header_is_parsed_no_further_than_allowed(series, monkeypatch):
    file = series / "1-003.dcm"
    data = pydicom.dcmread(file)
    data.add_new((0x0009, 0x0010), "LO", "long")
    data.add_new((0x0009, 0x1000), "OB", bytes(10_000))
    data.save_as(file)
    read_series(series)
    monkeypatch.setattr("xctrs_tf.data.dicom.dicom_dataset.MAX_HEADER_BYTES", 10_000)
    with pytest.raises(UserError, match=r"1-003\.dcm: no pixels in its first 0 MB"):
        read_series(series)


def test_a_long_header_of_a_film_is_refused_too(series, monkeypatch):
    file = next(series.iterdir())
    data = pydicom.dcmread(file)
    data.Modality = "DX"
    data.add_new((0x0009, 0x0010), "LO", "long")
    data.add_new((0x0009, 0x1000), "OB", bytes(10_000))
    data.save_as(file)
    monkeypatch.setattr("xctrs_tf.data.dicom.dicom_dataset.MAX_HEADER_BYTES", 10_000)
    with pytest.raises(UserError, match="no pixels in its first 0 MB"):
        read_film(file, "ap", 12)


def test_a_link_to_nothing_and_a_pipe_are_not_passed_over(series):
    (series / "6.dcm").symlink_to(series / "absent.dcm")
    with pytest.raises(UserError, match=r"6\.dcm: no such file"):
        read_series(series)
    (series / "6.dcm").unlink()
    os.mkfifo(series / "6.dcm")
    with pytest.raises(UserError, match=r"6\.dcm: a pipe or a device"):
        read_series(series)


@pytest.mark.parametrize("where", [slice(0, 1), slice(2, 3), slice(4, 5)])
def test_a_slice_of_another_pixel_spacing_is_named(series, where):
    edit(series, setting(PixelSpacing=[1.0, 1.0]), where)
    with pytest.raises(UserError, match=r"\.dcm: PixelSpacing .* correct the wrong one"):
        read_series(series)


REFUSED = [
    ({"RescaleSlope": None, "RescaleIntercept": None}, "no RescaleSlope, so its values are not"),
    ({"RescaleIntercept": None}, "no RescaleIntercept, so its values are not in HU"),
    ({"RescaleSlope": "0"}, "RescaleSlope is 0"),
    ({"RescaleSlope": "-1"}, "RescaleSlope is -1"),
    ({"RescaleType": "ED"}, "RescaleType is ED"),
    ({"PixelSpacing": None}, "no PixelSpacing"),
    ({"PixelSpacing": [1000.0, 1000.0]}, "a voxel size of 1000 mm"),
    ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
    ({"ImagePositionPatient": [1.0, 2.0]}, "where 3 belong"),
    ({"ImagePositionPatient": [1.0, 2.0, 1e150]}, "ImagePositionPatient lies beyond"),
    ({"ImageOrientationPatient": [0.0] * 6}, "ImageOrientationPatient is no two directions"),
    ({"ImageOrientationPatient": [1.0, 0, 0, 1, 0, 0]}, "ImageOrientationPatient is no two"),
    ({"Columns": None}, "no Columns"),
    ({"PixelRepresentation": None}, "no PixelRepresentation"),
    ({"BitsAllocated": 1}, "BitsAllocated is 1"),
    ({"BitsStored": 12, "HighBit": 15}, "BitsStored is 12 and HighBit 15, which do not fit"),
    ({"Rows": 60000, "Columns": 60000}, "60000 x 60000 x 1 pixels are over 1074 MB"),
    ({"Rows": 700}, "ends before its last pixel"),
    ({"Rows": 0}, "6 x 0 x 1 pixels"),
    ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "PhotometricInterpretation RGB"),
    ({"NumberOfFrames": "100"}, "100 frames without places"),
    ({"NumberOfFrames": "100000"}, "6 x 7 x 100000 pixels"),
    ({"PixelData": None}, "no PixelData"),
    ({"Modality": "PT"}, "a slice of modality PT"),
]


@pytest.mark.parametrize(("tags", "said"), REFUSED)
def test_what_is_refused_names_the_file_and_the_field(series, tags, said):
    edit(series, setting(**tags), slice(1, 2))
    with pytest.raises(UserError, match=rf"1-002\.dcm: .*{re.escape(said)}"):
        read_series(series)


def test_a_deflated_file_is_refused_before_it_is_unpacked(series):
    file = series / "1-001.dcm"
    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(file)
    with pytest.raises(UserError, match=r"1-001\.dcm: a deflated DICOM file"):
        read_series(series)


def test_labels_rounded_against_their_oblique_series_lie_on_it(tmp_path):
    cos, sin = np.cos(0.14), np.sin(0.14)
    direction = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    bone = Volume(np.full_like(ARRAY, 700), SPACING_MM, ORIGIN_MM)
    write_series(tmp_path / "ct" / "p", bone, direction)
    affine = lps_to_ras(SPACING_MM, ORIGIN_MM, direction.T)
    affine[:3, :3] += np.random.default_rng(0).uniform(-1e-4, 1e-4, (3, 3))
    (tmp_path / "labels").mkdir()
    labels = np.zeros(ARRAY.shape, np.uint8)
    labels[2:4, 2:5, 1:4] = 1
    write_nifti(tmp_path / "labels" / "p.nii.gz", labels, affine, affine, kind="u1")
    raw = DicomSource(tmp_path / "ct", tmp_path / "labels").load("p")
    assert raw.notes == {"label_placing": "physical space"}
    assert raw.ct.origin_mm == raw.labels.origin_mm
