"""Headers of CT slices that are odd, contradict each other, or are of other kinds of objects."""

import io
import os
import re

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from tests.data.dicoms import write_series
from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.sources.dicom_studies import DicomSource
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

SPACING_MM = (0.75, 0.75, 2.5)
ORIGIN_MM = (-40.25, 12.5, 900.5)
ARRAY = np.random.default_rng(0).integers(-1000, 1500, (6, 7, 5), np.int16)


@pytest.fixture
def series(tmp_path):
    """A folder with a good series of five slices."""
    write_series(tmp_path / "ct", Volume(ARRAY, SPACING_MM, ORIGIN_MM))
    return tmp_path / "ct"


def edit(folder, change, files=slice(None)):
    """Change the datasets of some files of a series."""
    for file in sorted(folder.iterdir())[files]:
        data = pydicom.dcmread(file)
        change(data)
        data.save_as(file)


def assert_as_stored(folder):
    read = read_series(folder)
    np.testing.assert_array_equal(read.array, ARRAY)
    np.testing.assert_allclose(read.spacing_mm, SPACING_MM)
    np.testing.assert_allclose(read.origin_mm, ORIGIN_MM)


def setting(**tags):
    """Return a change that sets tags, or deletes those whose value is None."""

    def change(data):
        for keyword, value in tags.items():
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)

    return change


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


def test_files_without_preamble_and_meta_header(series):
    for file in sorted(series.iterdir())[2:]:
        data = pydicom.dcmread(file)
        file.unlink()
        pydicom.dcmwrite(
            file.with_suffix(""), without_meta(data), implicit_vr=True, little_endian=True
        )
    assert_as_stored(series)


def without_meta(data):
    plain = Dataset()
    plain.update({element.tag: element for element in data})
    return plain


def test_big_endian_pixels(series):
    for file in series.iterdir():
        data = pydicom.dcmread(file)
        data.PixelData = data.pixel_array.byteswap().tobytes()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        pydicom.dcmwrite(file, data, implicit_vr=False, little_endian=False)
    assert_as_stored(series)


def test_slices_of_several_scales(series):
    files = sorted(series.iterdir())
    data = pydicom.dcmread(files[2])
    data.RescaleIntercept = float(data.RescaleIntercept) + 24
    set_pixels(data, data.pixel_array.astype(int) - 24)
    data.save_as(files[2])
    data = pydicom.dcmread(files[3])
    data.RescaleIntercept = float(data.RescaleIntercept) + 0.25
    data.save_as(files[3])
    read = read_series(series).array
    np.testing.assert_allclose(read, ARRAY, atol=0.25)
    assert read.dtype == np.float32


def test_pixels_that_were_shifted_by_a_few_bytes(series):
    file = series / "1-003.dcm"
    content = file.read_bytes()
    middle = len(content) - ARRAY[..., 0].nbytes // 2
    file.write_bytes(content[:middle] + b"\0\x18" * 5 + content[middle:])
    with pytest.raises(UserError, match=r"1-003\.dcm: (more bytes after its pixels|damaged)"):
        read_series(series)


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


def test_padding_after_the_pixels_is_left_out(series):
    file = series / "1-003.dcm"
    data = pydicom.dcmread(file)
    data.DataSetTrailingPadding = bytes(100)
    data.save_as(file)
    assert_as_stored(series)


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


def test_padding_of_a_ct_number_of_tissue(series):
    def change(data):
        set_pixels(data, np.full((7, 6), 1024))
        data.add_new("PixelPaddingValue", "SS", 1024)

    edit(series, change, slice(1, 2))
    with pytest.raises(UserError, match=r"1-002\.dcm: PixelPaddingValue is a CT number of tissue"):
        read_series(series)


def set_pixels(data, stored):
    kind = "<i2" if data.PixelRepresentation else "<u2"
    data.PixelData = stored.astype(kind).tobytes()


@pytest.mark.parametrize(
    ("padding", "limit", "signed", "stored"),
    [
        (-2000, None, 1, -2000),
        (63536, None, 1, -2000),
        (63536, None, 0, 63536),
        (-2000, -1990, 1, -1995),
        (None, None, 1, -2000),
    ],
)
def test_padding_is_air(series, padding, limit, signed, stored):
    def change(data):
        data.PixelRepresentation = signed
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        pixels = np.full((7, 6), 1100)
        pixels[0, 0] = stored
        set_pixels(data, pixels)
        for keyword, value in (("PixelPaddingValue", padding), ("PixelPaddingRangeLimit", limit)):
            if value is not None:
                data.add_new(keyword, "US" if value >= 0 else "SS", value)

    edit(series, change)
    array = read_series(series).array
    assert (array[0, 0] == -1000).all()
    assert (array.reshape(-1, 5)[1:] == 76).all()


def test_bits_that_are_no_pixels(series):
    def with_bits(data):
        data.PixelRepresentation, data.BitsStored, data.HighBit = 0, 12, 11
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        set_pixels(data, np.full((7, 6), 1100 + (1 << 15)))

    edit(series, with_bits)
    with pytest.raises(UserError, match="pixels of more than the 12 bits of BitsStored"):
        read_series(series)

    # The second of 16 possible overlays.
    edit(series, lambda data: data.add_new((0x6002, 0x0102), "US", 15))
    assert (read_series(series).array == 76).all()


def enhanced(path, array, change=None):
    """Write an Enhanced CT of one frame a slice, the highest first."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.Modality, data.SeriesInstanceUID = "CT", "1.2.3"
    data.Columns, data.Rows, data.NumberOfFrames = array.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    measures, plane, rescale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.75, 0.75]
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    shared.PixelValueTransformationSequence = [rescale]
    data.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(array.shape[2]):
        position = Dataset()
        position.ImagePositionPatient = [*ORIGIN_MM[:2], ORIGIN_MM[2] + 2.5 * number]
        frames.append(Dataset())
        frames[-1].PlanePositionSequence = [position]
    data.PerFrameFunctionalGroupsSequence = frames[::-1]
    stored = (array[:, :, ::-1].astype(int) + 1024).transpose(2, 1, 0)
    data.PixelData = stored.astype("<i2").tobytes()
    if change:
        change(data)
    path.parent.mkdir(exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def test_an_enhanced_ct_is_read(tmp_path):
    enhanced(tmp_path / "ct" / "all.dcm", ARRAY)
    assert_as_stored(tmp_path / "ct")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (setting(NumberOfFrames=1000), "NumberOfFrames is 1000, and 5 frames have places"),
        (setting(SharedFunctionalGroupsSequence=None), "no PixelMeasuresSequence"),
        (setting(PerFrameFunctionalGroupsSequence=None), "5 frames without places"),
    ],
)
def test_an_enhanced_ct_without_places(tmp_path, change, said):
    enhanced(tmp_path / "ct" / "all.dcm", ARRAY, change)
    with pytest.raises(UserError, match=f"all.dcm: {said}"):
        read_series(tmp_path / "ct")


def test_a_deflated_file_is_refused_before_it_is_unpacked(series):
    file = series / "1-001.dcm"
    data = pydicom.dcmread(file)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(file)
    with pytest.raises(UserError, match=r"1-001\.dcm: a deflated DICOM file"):
        read_series(series)


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000", "jpeg"])
def test_compressed_slices(series, syntax):
    for file in series.iterdir():
        data = pydicom.dcmread(file)
        if syntax == "rle":
            data.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        elif syntax == "jpeg2000":
            jpeg2000(data)
        else:
            lossless_jpeg(data, series.parent / "itk.dcm")
        data.PhotometricInterpretation = "MONOCHROME1"
        data.save_as(file)
    assert_as_stored(series)


def lossless_jpeg(data, path):
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.SetFileName(str(path))
    writer.Execute(sitk.GetImageFromArray(data.pixel_array[np.newaxis]))
    written = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = written.file_meta.TransferSyntaxUID
    data.PixelData = written.PixelData
    data["PixelData"].VR = "OB"


def test_a_compressed_picture_that_is_cut_short(series):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    lossless_jpeg(data, series.parent / "itk.dcm")
    frame = next(generate_frames(data.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([frame[:-20]])
    data.save_as(file)
    with pytest.raises(UserError, match=r"1-002\.dcm: its compressed picture is cut short"):
        read_series(series)


def jpeg2000(data):
    stored = data.pixel_array
    offset = int(stored.min())
    # Pillow writes unsigned numbers.
    data.RescaleIntercept = float(data.RescaleIntercept) + offset
    data.PixelRepresentation = 0
    stream = io.BytesIO()
    Image.fromarray((stored - offset).astype(np.uint16)).save(
        stream, "JPEG2000", irreversible=False, num_resolutions=1, no_jp2=True
    )
    data.PixelData = encapsulate([stream.getvalue()])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless


def test_a_compressed_picture_of_another_size_is_refused_before_it_is_decoded(series):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    jpeg2000(data)
    data.Rows = 700
    data.save_as(file)
    with pytest.raises(
        UserError, match="its header says 6 x 700 x 1 values, its compressed picture 6 x 7"
    ):
        read_series(series)


def test_damaged_compressed_pixels_say_one_line(series, capfd):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    jpeg2000(data)
    data.save_as(file)
    content = file.read_bytes()
    # Quantisation, which no lossless stream can do without.
    assert content.count(b"\xff\x5c") == 1
    file.write_bytes(content.replace(b"\xff\x5c", b"\x00\x00"))
    with pytest.raises(UserError, match=r"1-002\.dcm: its pixels, compressed as JPEG 2000"):
        read_series(series)
    assert capfd.readouterr() == ("", "")


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
