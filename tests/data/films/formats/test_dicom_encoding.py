"""DICOM films of other transfer syntaxes, compressions and beginnings of the file."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from tests.data.dicom.compression import jpeg_2000, lossless_jpeg, write_compressed_film
from tests.data.dicoms import PIXELS, write_dicom
from tests.data.films.expected_films import check_film
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.formats import dicom_film
from xctrs_tf.errors import UserError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_jpeg_is_read(tmp_path, dtype):
    pixels = (PIXELS >> (4 if dtype == np.uint8 else 0)).astype(dtype)
    frame = lossless_jpeg(tmp_path / "itk.dcm", pixels)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if dtype == np.uint8 else {}
    path = write_compressed_film(
        tmp_path / "film.dcm", JPEGLosslessSV1, frame, pixels=pixels, **bits
    )
    check_film(path, pixels)


def test_lossless_jpeg_cut_short_or_of_another_size_is_refused(tmp_path):
    frame = lossless_jpeg(tmp_path / "itk.dcm", PIXELS)
    path = write_compressed_film(tmp_path / "film.dcm", JPEGLosslessSV1, frame[:-20])
    with pytest.raises(UserError, match="its compressed picture is damaged"):
        read_film(path, "ap", 12)
    path = write_compressed_film(tmp_path / "film.dcm", JPEGLosslessSV1, frame, Rows=24)
    with pytest.raises(UserError, match="says 12 x 24 pixels, its compressed picture 12 x 12"):
        read_film(path, "ap", 12)


def test_an_unknown_compression_is_named(tmp_path):
    path = write_compressed_film(tmp_path / "film.dcm", HTJ2KLossless, jpeg_2000(PIXELS))
    with pytest.raises(UserError, match=r"compressed as High-Throughput JPEG 2000 .*uncompr"):
        read_film(path, "ap", 12)


def strip(path, preamble=True, meta=True, syntax=True, implicit=False):
    """Leave parts of the file's beginning out."""
    image = pydicom.dcmread(path)
    if not syntax:
        del image.file_meta.TransferSyntaxUID
    if not meta:
        image.file_meta, image.preamble = FileMetaDataset(), None
    image.save_as(path, enforce_file_format=False, implicit_vr=implicit, little_endian=True)
    if not preamble:
        path.write_bytes(path.read_bytes()[132:])
    return path


@pytest.mark.parametrize(
    "missing",
    [
        {"preamble": False},
        {"syntax": False},
        {"syntax": False, "implicit": True},
        {"meta": False},
        {"meta": False, "implicit": True},
        {"preamble": False, "syntax": False},
    ],
)
def test_a_file_without_its_beginning(tmp_path, missing):
    tags = {"WindowCenter": 2000, "WindowWidth": 2000, "PixelPaddingValue": 5}
    path = strip(write_dicom(tmp_path / "film", **tags), **missing)
    check_film(path, np.clip(PIXELS, 1000.5, 2999.5), atol=1e-3)


def test_a_preamble_of_zeros_without_its_mark(tmp_path):
    path = write_dicom(tmp_path / "film")
    content = path.read_bytes()
    path.write_bytes(content[:128] + content[132:])
    check_film(path, PIXELS)
    assert dicom_film.is_dicom_film(path)


def test_an_implicit_and_a_big_endian_header(tmp_path):
    check_film(write_dicom(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian), PIXELS)
    swapped = PIXELS.astype(">u2")
    check_film(write_dicom(tmp_path / "film.dcm", swapped, syntax=ExplicitVRBigEndian), PIXELS)


@pytest.mark.parametrize("kind", ["OB", "OW"])
def test_a_big_endian_film_of_bytes(tmp_path, kind):
    pixels = (PIXELS >> 4).astype(np.uint8)
    stored = pixels if kind == "OB" else pixels.reshape(-1, 2)[:, ::-1]
    path = write_dicom(tmp_path / "film.dcm", syntax=ExplicitVRBigEndian)
    film = pydicom.dcmread(path)
    film.BitsAllocated, film.BitsStored, film.HighBit = 8, 8, 7
    film.PixelData, film["PixelData"].VR = stored.tobytes(), kind
    film.save_as(path)
    check_film(path, pixels)


def test_compressed_pixels_without_a_transfer_syntax_are_refused(tmp_path):
    path = write_compressed_film(tmp_path / "film.dcm", JPEG2000Lossless, jpeg_2000(PIXELS))
    with pytest.raises(UserError, match="compressed, and its TransferSyntaxUID is missing"):
        read_film(strip(path, syntax=False), "ap", 12)


def test_run_length_code(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", BitsStored=12, HighBit=11)
    image = pydicom.dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)
    check_film(path, PIXELS)


def test_an_unknown_character_set_is_no_obstacle(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", PatientName="XXXX", SpecificCharacterSet="ISO_IR 100")
    content = path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 999")
    path.write_bytes(content.replace(b"XXXX", "Ивaн".encode("cp1251")))
    check_film(path, PIXELS)
