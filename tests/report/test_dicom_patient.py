"""Patient and study of a film, as they are copied, left out or refused."""

import gzip

import numpy as np
import pydicom
import pytest

from tests.data.dicoms import write_dicom
from xctrs_tf.errors import UserError
from xctrs_tf.report.dicom_ct import ct_series
from xctrs_tf.report.dicom_patient import compare_patients, patient_fields, patient_of_pair

WHOLE = {
    "PatientName": "Doe^Jane",
    "PatientID": "42",
    "PatientBirthDate": "19500131",
    "PatientSex": "F",
    "StudyInstanceUID": "1.2.3",
    "StudyDate": "20200131",
    "StudyTime": "123000.5",
    "AccessionNumber": "A7",
}


def write(path, **tags):
    with pydicom.config.disable_value_validation():
        return write_dicom(path, **{**WHOLE, **tags})


def write_bytes(path, name, character_set, **tags):
    """Write a film whose PatientName has these bytes."""
    placeholder = b"X" * len(name)
    write(path, PatientName=placeholder.decode(), SpecificCharacterSet="ISO_IR 100", **tags)
    content = path.read_bytes().replace(placeholder, name)
    path.write_bytes(content.replace(b"ISO_IR 100", character_set.ljust(10).encode()))
    return path


def test_a_valid_header_is_copied_whole(tmp_path, caplog):
    fields = patient_fields(write(tmp_path / "ap.dcm", PatientID=" 42 "))
    assert {name: fields.get(name) for name in WHOLE} == WHOLE
    assert not caplog.messages


def test_a_film_that_names_nobody_is_refused(tmp_path):
    film = write(tmp_path / "ap.dcm", PatientName="", PatientID=None, IssuerOfPatientID="HOSPITAL")
    with pytest.raises(UserError, match="has neither PatientName nor PatientID to copy"):
        patient_fields(film)
    assert patient_fields(write(tmp_path / "la.dcm", PatientName="")).PatientID == "42"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientBirthDate", "unknown"),
        ("PatientBirthDate", "19500000"),
        ("PatientBirthDate", "19500230"),
        ("PatientBirthDate", "050Y"),
        ("StudyDate", "2020-01-31"),
        ("StudyTime", "12:30:00"),
        ("StudyTime", "2400"),
        ("PatientSex", "Male"),
        ("PatientSex", "W"),
        ("AccessionNumber", "12345678901234567890"),
        ("StudyInstanceUID", "1.2.x"),
        ("StudyInstanceUID", "1.02.3"),
        ("StudyDescription", "neck\x1b[2J"),
        ("ReferringPhysicianName", "x" * 65),
    ],
)
def test_an_invalid_value_is_left_out_and_named(tmp_path, caplog, name, value):
    film = write(tmp_path / "ap.dcm", **{name: value})
    fields = patient_fields(film)
    assert name not in fields
    others = {other: kept for other, kept in WHOLE.items() if other != name}
    assert {other: fields.get(other) for other in others} == others
    assert caplog.messages == [f"{film}: not copied, since DICOM has no such values: {name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PatientID", "1" * 65),
        ("PatientID", "1\\2"),
        ("PatientID", "1\x1b[2J"),
        ("PatientName", "x" * 65),
        ("IssuerOfPatientID", "9" * 65),
    ],
)
def test_an_identity_that_cannot_be_copied_is_refused(tmp_path, name, value):
    film = write(tmp_path / "ap.dcm", **{name: value})
    with pytest.raises(
        UserError, match=rf"ap\.dcm: {name}: .*; correct the film's header, or leave"
    ):
        patient_fields(film)


@pytest.mark.parametrize(
    ("character_set", "encoding"), [("ISO_IR 192", "utf-8"), ("ISO_IR 144", "iso8859-5")]
)
def test_a_name_in_a_known_character_set_reaches_the_slices(tmp_path, character_set, encoding):
    film = write_bytes(tmp_path / "ap.dcm", "Иванов^И".encode(encoding), character_set)
    fields = patient_fields(film)
    assert str(fields.PatientName) == "Иванов^И"
    (image, *_) = ct_series(np.zeros((2, 2, 2), "i2"), 1.0, (0, 0, 0), fields)
    image.save_as(tmp_path / "slice.dcm", enforce_file_format=True)
    assert str(pydicom.dcmread(tmp_path / "slice.dcm").PatientName) == "Иванов^И"


@pytest.mark.parametrize("character_set", ["ISO_IR 999", "ISO_IR 192", "", "GIBBERISH"])
def test_a_name_that_cannot_be_read_for_sure_is_refused(tmp_path, character_set, caplog):
    film = write_bytes(tmp_path / "ap.dcm", "Иванов И".encode("cp1251"), character_set)
    with pytest.raises(UserError, match=r"ap\.dcm: PatientName: .*SpecificCharacterSet"):
        patient_fields(film)
    assert not caplog.messages


def test_plain_letters_need_no_known_character_set(tmp_path, caplog):
    film = write_bytes(tmp_path / "ap.dcm", b"Doe^Jane", "ISO_IR 999")
    assert str(patient_fields(film).PatientName) == "Doe^Jane"
    assert not caplog.messages


@pytest.mark.parametrize(
    ("ap", "la", "name"),
    [
        ({}, {"PatientID": "43"}, "PatientID"),
        ({}, {"PatientID": None}, "PatientID"),
        ({"PatientID": None}, {"PatientID": None, "PatientName": "Doe^John"}, "PatientName"),
        ({"PatientID": ""}, {"PatientID": "", "PatientBirthDate": "19500201"}, "PatientBirthDate"),
        # Only in names does case not count.
        ({"PatientID": "a7"}, {"PatientID": "A7"}, "PatientID"),
        # An id that only the LA film has.
        ({"PatientID": None}, {}, "PatientID"),
    ],
)
def test_films_of_two_patients_are_refused(tmp_path, ap, la, name):
    films = [write(tmp_path / "ap.dcm", **ap), write(tmp_path / "la.dcm", **la)]
    with pytest.raises(UserError, match=rf"la\.dcm: its {name} is not that of .*ap\.dcm"):
        patient_of_pair(*films)


@pytest.mark.parametrize(
    ("ap", "la", "name"),
    [
        ({}, {"PatientID": "43"}, "PatientID"),
        ({"PatientID": "a7"}, {"PatientID": "A7"}, "PatientID"),
        # What one film does not tell differs from nothing.
        ({}, {"PatientID": None}, None),
        ({}, {"PatientName": "Doe^John"}, None),
        ({"PatientID": None}, {"PatientID": None, "PatientName": "Doe^John"}, "PatientName"),
        ({"PatientID": None}, {"PatientName": "DoeJane"}, "PatientName"),
        ({"PatientID": ""}, {"PatientID": "", "PatientBirthDate": None}, None),
        # An id that only one film has tells nothing; the names do.
        ({}, {"PatientID": None, "PatientName": "Doe^John"}, "PatientName"),
        ({"PatientID": None}, {"PatientBirthDate": "19500201"}, "PatientBirthDate"),
    ],
)
def test_the_difference_of_two_patients(tmp_path, ap, la, name):
    films = [write(tmp_path / "ap.dcm", **ap), write(tmp_path / "la.dcm", **la)]
    found, remarks = compare_patients(*films)
    assert not remarks
    if name is None:
        assert found is None
    else:
        assert f"la.dcm: its {name} is not that of" in found and "--nocheck_views" in found
    (tmp_path / "la.png").touch()
    assert compare_patients(films[0], tmp_path / "la.png") == (None, [])


def test_a_damaged_field_hides_no_difference_of_the_ids(tmp_path):
    """A name without a character set, an id that is too long, and a packed file."""
    unreadable = write_bytes(tmp_path / "ap.dcm", "Müller^J".encode("latin-1"), "")
    assert compare_patients(unreadable, write(tmp_path / "la.dcm")) == (None, [])
    long = write(tmp_path / "long.dcm", PatientID="1" * 65)
    packed = tmp_path / "packed.dcm"
    packed.write_bytes(gzip.compress(write(tmp_path / "la.dcm", PatientID="43").read_bytes()))
    for ap, la in ((unreadable, tmp_path / "la.dcm"), (long, unreadable), (unreadable, packed)):
        problem, remarks = compare_patients(ap, la)
        assert problem.startswith(f"{la}: its PatientID is not that of {ap}; ")
        assert not remarks
    with pytest.raises(UserError, match=r"packed\.dcm: its PatientID is not that of .*long2\.dcm"):
        patient_of_pair(write(tmp_path / "long2.dcm"), packed)


def test_a_field_that_cannot_be_compared_is_told(tmp_path):
    ap = write_bytes(tmp_path / "ap.dcm", "Müller^J".encode("latin-1"), "")
    la = write(tmp_path / "la.dcm", PatientID=None)
    problem, (remark,) = compare_patients(ap, la)
    assert problem is None
    assert remark.startswith(f"{ap}: its PatientName was not compared: letters other than ASCII")


@pytest.mark.parametrize(
    ("date", "told"),
    [("20240511", True), ("20200131", False), (None, False), ("2024-05-11", False)],
)
def test_films_of_two_days_are_told(tmp_path, date, told):
    films = [write(tmp_path / "ap.dcm"), write(tmp_path / "la.dcm", StudyDate=date)]
    problem, remarks = compare_patients(*films)
    assert problem is None
    assert [remark.partition(";")[0] for remark in remarks] == (
        ["films: their StudyDates differ"] if told else []
    )


@pytest.mark.parametrize("name", [b"DOE^JANE", b"Doe^Jane^^", b"doe ^ Jane", b"Doe^Jane=="])
def test_names_that_are_equal_by_dicom_are_equal(tmp_path, name):
    films = [write(tmp_path / "ap.dcm", PatientID=None)]
    films.append(write_bytes(tmp_path / "la.dcm", name, "ISO_IR 100", PatientID=None))
    assert compare_patients(*films) == (None, [])
    assert patient_of_pair(*films).PatientName == "Doe^Jane"


def test_films_of_one_patient_may_spell_the_name_differently(tmp_path):
    films = [write(tmp_path / "ap.dcm"), write(tmp_path / "la.dcm", PatientName="DOE^JANE")]
    assert patient_of_pair(*films).PatientName == "Doe^Jane"
