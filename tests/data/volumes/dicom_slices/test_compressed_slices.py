"""CT slices of compressed pixels."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from tests.data.dicom import compression
from tests.data.volumes.dicom_slices.slices import assert_as_stored
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.errors import UserError


def to_jpeg_2000(data):
    """Compress the pixels, which this format stores without a sign."""
    offset = int(data.pixel_array.min())
    frame = compression.jpeg_2000((data.pixel_array - offset).astype(np.uint16))
    data.RescaleIntercept = float(data.RescaleIntercept) + offset
    data.PixelRepresentation = 0
    set_frame(data, frame, pydicom.uid.JPEG2000Lossless)


def to_lossless_jpeg(data, path, cut=None):
    frame = compression.lossless_jpeg(path, data.pixel_array)
    set_frame(data, frame[:cut], pydicom.uid.JPEGLosslessSV1)


def set_frame(data, frame, syntax):
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = syntax


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000", "jpeg"])
def test_compressed_slices(series, syntax):
    for file in series.iterdir():
        data = pydicom.dcmread(file)
        if syntax == "rle":
            data.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        elif syntax == "jpeg2000":
            to_jpeg_2000(data)
        else:
            to_lossless_jpeg(data, series.parent / "itk.dcm")
        data.PhotometricInterpretation = "MONOCHROME1"
        data.save_as(file)
    assert_as_stored(series)


def test_a_compressed_picture_that_is_cut_short(series):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    to_lossless_jpeg(data, series.parent / "itk.dcm", cut=-20)
    data.save_as(file)
    with pytest.raises(UserError, match=r"1-002\.dcm: its compressed picture is cut short"):
        read_series(series)


def test_a_compressed_picture_of_another_size_is_refused_before_it_is_decoded(series):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    to_jpeg_2000(data)
    data.Rows = 700
    data.save_as(file)
    with pytest.raises(
        UserError, match="its header says 6 x 700 x 1 values, its compressed picture 6 x 7"
    ):
        read_series(series)


def test_damaged_compressed_pixels_say_one_line(series, capfd):
    file = series / "1-002.dcm"
    data = pydicom.dcmread(file)
    to_jpeg_2000(data)
    data.save_as(file)
    content = file.read_bytes()
    # Quantisation, which no lossless stream can do without.
    assert content.count(b"\xff\x5c") == 1
    file.write_bytes(content.replace(b"\xff\x5c", b"\x00\x00"))
    with pytest.raises(UserError, match=r"1-002\.dcm: its pixels, compressed as JPEG 2000"):
        read_series(series)
    assert capfd.readouterr() == ("", "")
