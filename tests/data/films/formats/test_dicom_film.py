import logging

import numpy as np
import pydicom
import pytest

from tests.data.dicoms import PIXELS, write_dicom
from tests.data.films.expected_films import as_film
from xctrs_tf.data.films.film import read_film, read_raw_film
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.formats.dicom_scale import pixel_scale
from xctrs_tf.errors import UserError


@pytest.mark.parametrize("name", ["film.dcm", "IM0001", "film.DCM"])
def test_a_plain_film_whatever_its_name(tmp_path, name):
    film = read_film(write_dicom(tmp_path / name), "ap", 12)
    np.testing.assert_allclose(film, as_film(PIXELS), atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", " MONOCHROME1"])
def test_monochrome1_is_inverted(tmp_path, photometric):
    path = write_dicom(tmp_path / "a.dcm", PhotometricInterpretation=photometric)
    np.testing.assert_allclose(read_film(path, "la", 12), as_film(4095.0 - PIXELS), atol=1e-6)


def test_rescaling_comes_before_the_window(tmp_path):
    # The window of 1000 to 3000 holds after 2 x - 1000: stored 1000 to 2000. PS3.3
    # C.11.2.1.2.1 shifts its ends by half a value.
    path = write_dicom(
        tmp_path / "a.dcm",
        RescaleSlope=2,
        RescaleIntercept=-1000,
        WindowCenter=2000,
        WindowWidth=2000,
    )
    film = read_film(path, "ap", 12)
    np.testing.assert_allclose(film, as_film(np.clip(PIXELS, 1000, 2000)), atol=2e-3)
    path = write_dicom(tmp_path / "a.dcm", RescaleSlope=-1, RescaleIntercept=0, RescaleType="US")
    np.testing.assert_allclose(read_film(path, "ap", 12), as_film(4095.0 - PIXELS), atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, None),
        ({"PixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        ({"NominalScannedPixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        (
            {
                "NominalScannedPixelSpacing": [0.24, 0.12],
                "EstimatedRadiographicMagnificationFactor": 1.2,
            },
            (0.1, 0.2),
        ),
        (
            {
                "ImagerPixelSpacing": [0.2, 0.1],
                "PixelSpacing": [0.2, 0.1],
                "PixelSpacingCalibrationType": "FIDUCIAL",
                "EstimatedRadiographicMagnificationFactor": 1.2,
            },
            (0.1, 0.2),
        ),
        ({"PixelSpacing": [0.2, 0.1], "PixelAspectRatio": [2, 1]}, (0.1, 0.2)),
        ({"ImagerPixelSpacing": [0.24, 0.12], "PixelSpacing": [0.2, 0.1]}, (0.1, 0.2)),
        (
            {
                "ImagerPixelSpacing": [0.24, 0.12],
                "PixelSpacing": [0.24, 0.12],
                "DistanceSourceToDetector": 1800,
                "DistanceSourceToPatient": 1500,
            },
            (0.1, 0.2),
        ),
        (
            {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 1.5},
            (0.2, 0.2),
        ),
    ],
)
def test_a_pixels_size_is_that_at_the_patient(tmp_path, tags, expected):
    path = write_dicom(tmp_path / "a.dcm", **tags)
    pixel_mm, _, _ = pixel_scale(path, pydicom.dcmread(path))
    assert pixel_mm == (pytest.approx(expected) if expected else None)


def test_the_networks_square_by_the_headers_spacing(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", PixelSpacing=[0.5, 0.5])
    film = read_film(path, "ap", 8, FilmFrame(spacing_mm=0.5))
    np.testing.assert_allclose(film, as_film(PIXELS[2:10, 2:10]), atol=1e-6)


@pytest.mark.parametrize(
    ("view", "orientation", "picture", "told"),
    [
        ("ap", ["L", "F"], PIXELS, None),
        ("ap", ["R", "F"], PIXELS[:, ::-1], "left and right"),
        ("ap", ["LP", "HR"], PIXELS[::-1], "top and bottom"),
        ("la", ["P", "F"], PIXELS, None),
        ("la", ["A", "FP"], PIXELS[:, ::-1], "left and right"),
        ("la", ["A", "H"], PIXELS[::-1, ::-1], "left and right, and top and bottom"),
    ],
)
def test_the_patients_orientation_turns_the_film(
    tmp_path, caplog, view, orientation, picture, told
):
    path = write_dicom(tmp_path / "a.dcm", PatientOrientation=orientation)
    np.testing.assert_allclose(read_film(path, view, 12), as_film(picture), atol=1e-6)
    line = f"{path}: PatientOrientation {'/'.join(orientation)} asks to exchange {told}"
    assert caplog.messages == ([line] if told else [])


def test_a_film_that_is_stored_with_dark_bone_is_marked_without_a_line(tmp_path):
    for stored in ("MONOCHROME1", "MONOCHROME2"):
        path = write_dicom(tmp_path / "a.dcm", PhotometricInterpretation=stored)
        raw = read_raw_film(path, "ap")
        assert (raw.inverted, raw.remarks) == (stored == "MONOCHROME1", ())


@pytest.mark.parametrize(
    ("view", "tags"),
    [
        ("ap", {"ViewPosition": "AP"}),
        ("ap", {"ViewPosition": "PA", "ImageLaterality": "U"}),
        ("la", {"ViewPosition": "LL", "Laterality": "L"}),
        ("la", {"ViewPosition": ""}),
    ],
)
def test_headers_that_agree_with_the_view(tmp_path, view, tags):
    assert read_film(write_dicom(tmp_path / "a.dcm", **tags), view, 12).shape == (12, 12)


@pytest.mark.parametrize(
    ("view", "tags", "message"),
    [
        ("la", {"ViewPosition": "AP"}, "ViewPosition is AP, which is not an LA film; exchange"),
        ("ap", {"ViewPosition": "LL"}, "ViewPosition is LL, which is not an AP film"),
        ("ap", {"ViewPosition": "RLO"}, "ViewPosition is RLO"),
        ("ap", {"ImageLaterality": "R"}, "laterality is R, which no AP film of a neck has"),
        ("ap", {"Laterality": "L"}, "laterality is L"),
        (
            "ap",
            {"PatientOrientation": ["P", "F"]},
            "PatientOrientation is P/F, .* not an upright AP",
        ),
        (
            "la",
            {"PatientOrientation": ["F", "P"]},
            "PatientOrientation is F/P, .* not an upright LA",
        ),
        ("ap", {"Modality": "CT"}, "modality CT; an X-ray film is one of CR, DX"),
        ("ap", {"Modality": None}, "modality not given"),
        ("ap", {"PresentationIntentType": "FOR PROCESSING"}, "raw detector values; export"),
        ("ap", {"PhotometricInterpretation": "RGB"}, "RGB; export the film as grey"),
        ("ap", {"NumberOfFrames": 3}, "3 frames; save one film a file"),
        ("ap", {"Rows": 0}, "12 x 0 pixels; there is no film in it"),
        ("ap", {"Rows": 16384, "Columns": 16384}, "16384 x 16384 pixels, more than the 34 million"),
        ("ap", {"Rows": 13}, "need 312 bytes of PixelData, and it has 288"),
        ("ap", {"Rows": None}, "its Rows is missing; one whole number"),
        ("ap", {"PixelSpacing": [0.0, 0.1]}, "its PixelSpacing is 0 and 0.1; two numbers"),
        ("ap", {"PixelSpacing": [143, 143]}, "gives pixels of 143 x 143 mm; a film's are"),
        ("ap", {"PixelAspectRatio": [2, 1]}, "12 x 12 pixels of shape 0.5 x 1; crop or pad"),
        ("ap", {"PixelAspectRatio": [2, 0]}, "its PixelAspectRatio is 2 and 0; two numbers"),
        (
            "ap",
            {"PixelAspectRatio": [2, 1], "PixelSpacing": [0.1, 0.1]},
            "its PixelAspectRatio contradicts its pixels of 0.1 x 0.1 mm",
        ),
        *(
            ("ap", {"ImagerPixelSpacing": [0.2, 0.2], **tags}, f"a magnification of {value}")
            for value, tags in (
                ("120 by Est", {"EstimatedRadiographicMagnificationFactor": 120}),
                ("0.8 by Est", {"EstimatedRadiographicMagnificationFactor": 0.8}),
                ("-1.2 by Est", {"EstimatedRadiographicMagnificationFactor": -1.2}),
                (
                    "12 by Dist",
                    {"DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 150},
                ),
                (
                    "0.833333 by Dist",
                    {"DistanceSourceToDetector": 1500, "DistanceSourceToPatient": 1800},
                ),
                ("10 by Imager", {"PixelSpacing": [0.02, 0.02]}),
            )
        ),
        ("ap", {"PatientOrientation": ["LR", "F"]}, "is LR/F, which are no directions"),
        ("ap", {"PatientOrientation": ["L", "FX"]}, "is L/FX, which are no directions"),
        ("ap", {"PatientOrientation": "R"}, "its PatientOrientation is R, where two directions"),
        ("ap", {"PatientOrientation": ["L", ""]}, "its PatientOrientation is L/, where two"),
        ("la", {"PatientOrientation": ["P", "F", "L"]}, "is P/F/L, where two directions"),
        ("ap", {"PixelSpacing": [0.1]}, "its PixelSpacing is 0.1; two numbers"),
    ],
)
def test_headers_that_are_refused(tmp_path, view, tags, message):
    path = write_dicom(tmp_path / "film.dcm", **tags)
    with pytest.raises(UserError, match=rf"film\.dcm: .*{message}") as caught:
        read_film(path, view, 12)
    assert "\n" not in str(caught.value)


def scale_remarks(path, caplog, **frame):
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        read_film(path, "ap", 12, FilmFrame(**frame))
    return [record.getMessage().removeprefix(f"{path}: ") for record in caplog.records]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (
            {"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"},
            "0.2 x 0.2 mm at the patient, by PixelSpacing (GEOMETRY)",
        ),
        (
            {"PixelSpacing": [0.2, 0.2]},
            "0.2 x 0.2 mm at the patient, by PixelSpacing, whose calibration its header does not",
        ),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.25, 0.25]},
            "0.2 x 0.2 mm at the patient, by PixelSpacing, which differs from ImagerPixelSpacing",
        ),
        (
            {
                # One number, rounded differently, is no calibration.
                "PixelSpacing": [0.24, 0.24],
                "ImagerPixelSpacing": [0.2400001, 0.2400001],
                "EstimatedRadiographicMagnificationFactor": 1.2,
            },
            "0.2 x 0.2 mm at the patient, by ImagerPixelSpacing over EstimatedRadiographicMagnif",
        ),
        (
            {"ImagerPixelSpacing": [0.24, 0.24], "EstimatedRadiographicMagnificationFactor": 1.2},
            "0.2 x 0.2 mm at the patient, by ImagerPixelSpacing over EstimatedRadiographicMagnif",
        ),
        (
            {
                "ImagerPixelSpacing": [0.24, 0.24],
                "EstimatedRadiographicMagnificationFactor": 1.2,
                "DistanceSourceToDetector": 1800,
                "DistanceSourceToPatient": 1200,
            },
            "Factor 1.2 (its DistanceSourceToDetector over DistanceSourceToPatient is 1.5)",
        ),
        (
            {
                "ImagerPixelSpacing": [0.3, 0.3],
                "DistanceSourceToDetector": 1800,
                "DistanceSourceToPatient": 1200,
            },
            "0.2 x 0.2 mm at the patient, by ImagerPixelSpacing over 1.5, DistanceSourceToDetect",
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2]},
            "by ImagerPixelSpacing alone: its header gives no magnification",
        ),
    ],
)
def test_the_fields_of_the_pixel_size_are_said(tmp_path, tags, words, caplog):
    path = write_dicom(tmp_path / "film.dcm", **tags)
    remarks = scale_remarks(path, caplog)
    assert len(remarks) == 1 and words in remarks[0], remarks
    # A size that is given replaces the file's.
    assert scale_remarks(path, caplog, pixel_mm=0.3) == []
    assert scale_remarks(write_dicom(tmp_path / "bare.dcm"), caplog) == []
