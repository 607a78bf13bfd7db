"""`reconstruct` of DICOM films, and its DICOM files."""

import shutil

import numpy as np
import pydicom
import pytest

from tests.experiments.reconstruct.reconstructing import batch, reconstruct, write_dicom_films
from tests.export.runs import SIZE, toy_run
from tests.films import BLOCK
from tests.programs import assert_refused
from xctrs_tf.data.volumes.volume import read_volume
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.films import pair_reading
from xctrs_tf.report import dicom_patient


def test_two_models_dicom_and_a_strict_status(folder, models, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    # Half as bright: 250 HU in the block, and no label there.
    export_run(toy_run(other / "run", gain=0.5), other / "models")
    write_dicom_films(folder, ap="P7", la="P7")
    result = reconstruct(
        folder,
        models,
        *(f"--model={other / 'models'}", "--dicom", "--copy_patient", "--strict"),
        suffix=".dcm",
    )
    assert (result.returncode, result.stderr) == (3, "")
    out = folder / "out"
    ct, spread, labels = (
        read_volume(out / f"{name}.nii.gz").array for name in ("ct", "spread_hu", "segmentation")
    )
    # 1500 and 250 HU: mean 875, deviation 1250 / sqrt(2); a tie of votes is background.
    assert (ct[BLOCK] == 875).all() and (ct == 875).sum() == 60
    np.testing.assert_allclose(spread[BLOCK], 1250 / np.sqrt(2), rtol=1e-6)
    assert not labels.any()
    assert "Between the models" in (out / "report.html").read_text(encoding="utf-8")
    slices = sorted((out / "dicom").iterdir())
    assert len(slices) == SIZE
    header = pydicom.dcmread(slices[0])
    assert (header.PatientID, str(header.PatientName)) == ("P7", "Doe^Jane")


def test_a_dicom_segmentation_is_written_without_chatter(folder, models):
    result = reconstruct(folder, models, "--dicom", "--report=false")
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "out" / "dicom" / "segmentation.dcm").is_file()


def test_a_patient_is_not_copied_from_films_of_two(folder, models):
    write_dicom_films(folder, ap="P7", la="P8")
    result = reconstruct(folder, models, "--dicom", "--copy_patient", suffix=".dcm")
    assert_refused(result, "la.dcm: its PatientID is not that of", folder / "out")


def test_films_of_two_patients_are_refused_unless_the_check_is_off(folder, models):
    write_dicom_films(folder, ap="P7", la="P8")
    result = reconstruct(folder, models, "--check_views", suffix=".dcm")
    assert result.returncode == 2 and not (folder / "out").exists()
    assert "la.dcm: its PatientID is not that of" in result.stderr
    assert "(--nocheck_views takes these)" in result.stderr
    assert reconstruct(folder, models, "--nocheck_views", suffix=".dcm").returncode == 0


def test_a_batch_with_invalid_headers_copies_what_is_valid_and_goes_on(folder, models):
    headers = {
        "a": {"PatientBirthDate": "unknown", "PatientSex": "Male", "StudyDate": "2020-01-31"},
        "b": {"PatientName": "Doe^Jane\x1b[2J"},
        "c": {"StudyTime": "12:30:00", "AccessionNumber": "12345678901234567890"},
    }
    (folder / "films").mkdir()
    for name, tags in headers.items():
        write_dicom_films(folder, ap=name, la=name, **tags)
        for view in ("ap", "la"):
            shutil.move(folder / f"{view}.dcm", folder / "films" / f"{name}_{view}.dcm")
    flags = (f"--input={folder / 'films'}", "--dicom", "--copy_patient", "--report=false")
    result = batch(folder, models, *flags)
    assert (result.returncode, result.stdout) == (1, "2 done, 0 skipped, 1 failed\n")
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "b_ap.dcm: PatientName: letters other than ASCII" in lines[0]
    for name in ("a", "c"):
        header = pydicom.dcmread(folder / "out" / name / "dicom" / "slice-001.dcm")
        assert (header.PatientID, str(header.PatientName)) == (name, "Doe^Jane")
        assert not header.PatientBirthDate and not header.AccessionNumber


@pytest.mark.parametrize(
    ("module", "moment"), [(pair_reading, "_compare_patients"), (dicom_patient, "patient_of_pair")]
)
def test_a_film_that_is_replaced_while_it_is_read_is_refused(
    folder, models, monkeypatch, module, moment
):
    write_dicom_films(folder, ap="P7", la="P7")
    look_at = getattr(module, moment)

    def replaced(*args, **paths):
        write_dicom_films(folder, ap="P8", la="P8")
        return look_at(*args, **paths)

    monkeypatch.setattr(module, moment, replaced)
    result = reconstruct(folder, models, "--dicom", "--copy_patient", suffix=".dcm")
    assert_refused(result, "ap.dcm: changed while it was read", folder / "out")
