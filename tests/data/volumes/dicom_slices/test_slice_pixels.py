"""Pixels of CT slices: byte order, scale, padding, bits beside the values."""

import numpy as np
import pydicom
import pytest

from tests.data.volumes.dicom_slices.slices import (
    ARRAY,
    assert_as_stored,
    edit,
    set_pixels,
    setting,
)
from xctrs_tf.data.volumes.dicom_series import read_series
from xctrs_tf.errors import UserError


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


def test_padding_after_the_pixels_is_left_out(series):
    file = series / "1-003.dcm"
    data = pydicom.dcmread(file)
    data.DataSetTrailingPadding = bytes(100)
    data.save_as(file)
    assert_as_stored(series)


def test_padding_of_a_ct_number_of_tissue(series):
    def change(data):
        set_pixels(data, np.full((7, 6), 1024))
        data.add_new("PixelPaddingValue", "SS", 1024)

    edit(series, change, slice(1, 2))
    with pytest.raises(UserError, match=r"1-002\.dcm: PixelPaddingValue is a CT number of tissue"):
        read_series(series)


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


def test_all_bits_are_pixels_where_the_header_does_not_tell(series):
    edit(series, setting(BitsStored=None, HighBit=None))
    assert_as_stored(series)


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
