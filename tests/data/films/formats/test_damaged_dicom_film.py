"""DICOM films that are damaged or too large to be read."""

import struct

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from tests.data.dicoms import PIXELS, write_dicom
from xctrs_tf.data.dicom import dicom_dataset
from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.formats import dicom_film
from xctrs_tf.errors import UserError


def test_a_truncated_file_at_every_length(tmp_path):
    content = write_dicom(tmp_path / "whole.dcm").read_bytes()
    for length in range(132, len(content) - 1, 7):
        (tmp_path / "cut.dcm").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.dcm: ") as caught:
            read_film(tmp_path / "cut.dcm", "ap", 12)
        assert "\n" not in str(caught.value)


def test_changed_bytes_of_the_header_are_refused_or_change_nothing(tmp_path):
    path = write_dicom(tmp_path / "film.dcm", PixelSpacing=[0.5, 0.5])
    content, whole = path.read_bytes(), read_film(path, "ap", 12)
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(132, len(content) - PIXELS.nbytes, 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            film = read_film(path, "ap", 12)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            np.testing.assert_array_equal(film, whole)
            read += 1
    # Both happen.
    assert 0 < read < 150


def test_a_deeply_nested_file(tmp_path):
    content = write_dicom(tmp_path / "film.dcm", syntax=ImplicitVRLittleEndian).read_bytes()
    sequence = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    start = content.index(struct.pack("<HHI", 0x0008, 0x0060, 2))
    path = tmp_path / "film.dcm"
    path.write_bytes(content[:start] + 20000 * (sequence + item))
    with pytest.raises(UserError, match=r"film\.dcm: a damaged DICOM file"):
        read_film(path, "ap", 12)


def test_a_deflated_file_is_not_inflated(tmp_path):
    path = write_dicom(tmp_path / "film.dcm")
    film = pydicom.dcmread(path)
    film.file_meta.TransferSyntaxUID = dicom_dataset.DEFLATED
    film.save_as(path)
    with pytest.raises(UserError, match="a deflated DICOM file; export it uncompressed"):
        read_film(path, "ap", 12)


def test_a_file_larger_than_any_film(tmp_path):
    path = write_dicom(tmp_path / "film.dcm")
    with path.open("ab") as stream:
        stream.truncate(2**30)
    with pytest.raises(UserError, match="over 268 MB, more than is read"):
        read_film(path, "ap", 12)


def test_a_header_of_too_many_fields_is_not_parsed_to_its_end(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "film.dcm")
    monkeypatch.setattr(dicom_film, "MAX_READS", 20)
    with pytest.raises(UserError, match="too many fields in its header"):
        read_film(path, "ap", 12)
