"""Values, bits and numbers of DICOM films as machines of the world write them."""

import pathlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    JPEG2000Lossless,
)

from tests.data.dicom.compression import jpeg_2000, write_compressed_film
from tests.data.dicoms import PIXELS, write_dicom
from tests.data.films.expected_films import as_film, check_film
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.formats import dicom_values
from xctrs_tf.errors import UserError

TWELVE = {"BitsStored": 12, "HighBit": 11}
# Smooth, so that foreign bits show as edges.
SMOOTH = np.add.outer(np.arange(12), np.arange(12)).astype(np.uint16) * 180


def test_bits_of_overlays_are_no_part_of_the_film(tmp_path):
    foreign = SMOOTH.copy()
    foreign[2:5, 3:9] |= 0x1000
    foreign[7:10, 1:4] |= 0x8000
    check_film(write_dicom(tmp_path / "plain.dcm", foreign, **TWELVE), SMOOTH)
    path = write_compressed_film(
        tmp_path / "jpeg.dcm", JPEG2000Lossless, jpeg_2000(foreign), **TWELVE
    )
    check_film(path, SMOOTH)


def test_values_of_more_bits_than_stored_are_refused(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", SMOOTH * 4, **TWELVE)
    with pytest.raises(UserError, match="more bits than its BitsStored of 12; correct"):
        read_film(path, "ap", 12)


def test_left_aligned_values_are_shifted(tmp_path):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    tags = {"BitsStored": 12, "HighBit": 15, **window}
    check_film(write_dicom(tmp_path / "plain.dcm", SMOOTH << 4, **tags), SMOOTH)
    path = write_compressed_film(
        tmp_path / "jpeg.dcm", JPEG2000Lossless, jpeg_2000(SMOOTH << 4), **tags
    )
    check_film(path, SMOOTH)


def test_right_aligned_values_with_the_highest_bit_of_left_aligned_ones(tmp_path):
    check_film(write_dicom(tmp_path / "film.dcm", SMOOTH + 3, BitsStored=12, HighBit=15), SMOOTH)


@pytest.mark.parametrize(
    "tags",
    [
        {"BitsStored": 12, "HighBit": 16},
        {"BitsStored": 12, "HighBit": 10},
        {"BitsStored": 17, "HighBit": 16},
        {"BitsStored": 0, "HighBit": 15},
    ],
)
def test_bits_that_contradict_each_other_are_refused(tmp_path, tags):
    with pytest.raises(UserError, match=r"BitsStored .* HighBit .* contradict each other"):
        read_film(write_dicom(tmp_path / "film.dcm", **tags), "ap", 12)


@pytest.mark.parametrize("allocated", [1, 12, 64])
def test_unusual_depths_are_refused(tmp_path, allocated):
    path = write_dicom(tmp_path / "film.dcm", BitsAllocated=allocated, BitsStored=1, HighBit=0)
    with pytest.raises(UserError, match=f"its BitsAllocated is {allocated}; export the film with"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize("kind", ["<i2", "<u4", "u1"])
def test_signed_long_and_short_values(tmp_path, kind):
    kind = np.dtype(kind)
    pixels = (PIXELS // 16).astype(kind) - (100 if kind.kind == "i" else 0)
    bits = 8 * kind.itemsize
    tags = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    path = write_dicom(
        tmp_path / "film.dcm", pixels, PixelRepresentation=int(kind.kind == "i"), **tags
    )
    check_film(path, pixels)


def test_signed_values_of_twelve_bits(tmp_path):
    pixels = (SMOOTH.astype(np.int16) - 2000) & 0x0FFF
    path = write_dicom(
        tmp_path / "film.dcm", pixels.astype(np.uint16), PixelRepresentation=1, **TWELVE
    )
    check_film(path, SMOOTH)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (0, {"PixelPaddingValue": 0}),
        (65535, {"PixelPaddingValue": 65535}),
        (65535, {"PixelPaddingValue": 65535, **TWELVE}),
        (4090, {"PixelPaddingValue": 4080, "PixelPaddingRangeLimit": 4095}),
        (4090, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4080}),
    ],
)
def test_padding_does_not_change_how_the_film_is_scaled(tmp_path, photometric, value, tags):
    pixels = np.random.default_rng(1).integers(1000, 3000, (12, 12), np.uint16)
    pixels[:, :2] = value
    path = write_dicom(tmp_path / "film.dcm", pixels, PhotometricInterpretation=photometric, **tags)
    film = read_film(path, "ap", 12)
    own = pixels[:, 2:].astype(np.float32) * (-1 if photometric == "MONOCHROME1" else 1)
    np.testing.assert_allclose(film[2:], as_film(own), atol=1e-6)
    assert (film[:2] == 0).all()


def test_a_film_that_is_mostly_padding_is_refused(tmp_path):
    pixels = PIXELS.copy()
    pixels[:, :7] = 0
    path = write_dicom(tmp_path / "film.dcm", pixels, PixelPaddingValue=0)
    with pytest.raises(UserError, match=r"more than half of it is padding .*give a crop box"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")]
)
def test_a_header_that_contradicts_itself_about_the_bright_side(tmp_path, photometric, shape):
    tags = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    with pytest.raises(UserError, match=f"{photometric} and PresentationLUTShape {shape} contra"):
        read_film(write_dicom(tmp_path / "film.dcm", **tags), "ap", 12)


def test_a_header_that_agrees_about_the_bright_side(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    check_film(write_dicom(tmp_path / "film.dcm", **tags), 4095.0 - PIXELS)


def write_text(path, **texts):
    """Write a film whose number fields hold these texts, each as long as its stand-in."""
    stands = {
        name: "".join(letter if letter in "\\" else "1" for letter in text)
        for name, text in texts.items()
    }
    write_dicom(path, **{name: text.split("\\") for name, text in stands.items()})
    content = pathlib.Path(path).read_bytes()
    for name, text in texts.items():
        tag = pydicom.tag.Tag(name)
        start = content.index(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little"))
        content = content[:start] + content[start:].replace(stands[name].encode(), text.encode(), 1)
    pathlib.Path(path).write_bytes(content)
    return path


def test_decimal_commas_are_points(tmp_path):
    path = write_text(
        tmp_path / "film.dcm",
        WindowCenter="1999,5",
        WindowWidth="2000,0",
        RescaleSlope="2,0",
        RescaleIntercept="-1000,0",
    )
    check_film(path, np.clip(PIXELS, 1000, 2000), atol=2e-3)
    path = write_text(tmp_path / "film.dcm", PixelSpacing="0,200\\0,100")
    with pytest.raises(UserError, match=r"12 x 12 pixels of 0\.1 x 0\.2 mm"):
        read_film(path, "ap", 12)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("WindowWidth", "2,048"),
        ("PixelSpacing", "1,250\\1,250"),
        ("RescaleSlope", "1,2,3"),
        ("WindowCenter", "10 000"),
        ("ImagerPixelSpacing", "0.1 mm\\0.1 mm"),
        ("RescaleIntercept", "infinity"),
    ],
)
def test_numbers_of_two_meanings_or_none_are_named(tmp_path, field, text):
    other = {"WindowWidth": "WindowCenter", "WindowCenter": "WindowWidth"}.get(field)
    texts = {field: text, **({other: "100"} if other else {})}
    with pytest.raises(UserError, match=f"its {field} is "):
        read_film(write_text(tmp_path / "film.dcm", **texts), "ap", 12)


@pytest.mark.parametrize("width", [0, -5])
def test_a_width_that_is_none_leaves_the_window_out(tmp_path, width):
    check_film(write_dicom(tmp_path / "film.dcm", WindowCenter=2048, WindowWidth=width), PIXELS)


def test_a_window_below_1_of_small_values(tmp_path):
    tags = {"RescaleSlope": "0.00025", "RescaleIntercept": 0, "WindowCenter": "0.5"}
    path = write_dicom(tmp_path / "film.dcm", **tags, WindowWidth="0.5")
    check_film(path, np.clip(PIXELS, 1000, 3000), atol=1e-4)


@pytest.mark.parametrize(("center", "width"), [(9000, 100), (2048, 1), (-5, 2)])
def test_a_window_that_leaves_nothing_is_named(tmp_path, center, width):
    path = write_dicom(tmp_path / "film.dcm", WindowCenter=center, WindowWidth=width)
    with pytest.raises(
        UserError, match=f"WindowCenter {center}, WindowWidth {width}.* leaves noth"
    ):
        read_film(path, "ap", 12)


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(tmp_path, function):
    path = write_dicom(
        tmp_path / "film.dcm", WindowCenter=2000, WindowWidth=2000, VOILUTFunction=function
    )
    values = (PIXELS - 2000.0) / 2000
    expected = (
        np.clip(values, -0.5, 0.5) if function == "LINEAR_EXACT" else 1 / (1 + np.exp(-4 * values))
    )
    check_film(path, expected, atol=1e-5)


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables(tmp_path, keyword, monkeypatch):
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = np.arange(4096, dtype="<u2")[::-1].tobytes()
    table["LUTData"].VR = "OW"
    table.ModalityLUTType = "US"
    path = write_dicom(tmp_path / "film.dcm", **{keyword: [table]})
    check_film(path, 4095.0 - PIXELS)
    monkeypatch.setattr(dicom_values, "MAX_TABLE_BYTES", 100)
    with pytest.raises(UserError, match=f"its {keyword} is too large"):
        read_film(path, "ap", 12)
