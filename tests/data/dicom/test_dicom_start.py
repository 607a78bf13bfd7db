"""Beginning of DICOM files: one rule for films and for slices of a CT."""

import pytest

from xctrs_tf.data.dicom.dicom_start import START, starts_like_dicom
from xctrs_tf.data.films.formats.dicom_film import is_dicom_film
from xctrs_tf.data.volumes.dicom_series import is_dicom_slice

EXPLICIT = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"
DICOM = {
    "preamble": b"x" * 128 + b"DICM\x02\x00\x00\x00UL\x04\x00",
    "explicit": EXPLICIT,
    "implicit": b"\x08\x00\x16\x00\x1a\x00\x00\x00" + b"1.2.840.10008.5.1.4.1.1.2\x00",
    "big-endian": b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100",
    "meta group alone": b"\x02\x00\x10\x00UI\x14\x00",
    "an element beyond 255": b"\x08\x00\x30\x10LO\x04\x00neck",
    "preamble of zeros": bytes(128) + EXPLICIT,
}
OTHERS = {
    "empty": b"",
    "zeros": bytes(200),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "TIFF": b"II*\x00\x08\x00\x00\x00" + bytes(200),
    "NIfTI": b"\x5c\x01\x00\x00" + bytes(348),
    "text": b"notes on the patient, and more than one hundred and thirty-six letters" * 3,
}


@pytest.mark.parametrize("name", [*DICOM, *OTHERS])
def test_films_and_slices_have_one_rule(tmp_path, name):
    content = (DICOM | OTHERS)[name]
    assert starts_like_dicom(content[:START]) == starts_like_dicom(content) == (name in DICOM)
    (tmp_path / "file").write_bytes(content)
    for is_dicom in (is_dicom_film, is_dicom_slice):
        assert is_dicom(tmp_path / "file") == (name in DICOM)
