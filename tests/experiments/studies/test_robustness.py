import dataclasses
import pathlib

import numpy as np
import pytest

from experiments.studies import robustness
from experiments.studies.robustness import read_scan, robustness_rows
from tests.data.layouts import write_pair
from tests.evaluation.patients import MemoryDataset, make_case, make_run
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset.header_correction import CorrectedSource
from xctrs_tf.data.dataset.preparation import image_hash
from xctrs_tf.data.projection.drr import films_of
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.volumes.volume import Volume, read_ct, write_volume
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort
from xctrs_tf.evaluation.evaluated_run import EvaluatedFold
from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.files import read_csv, read_json
from xctrs_tf.training.config import TrainingConfig


@pytest.fixture
def dataset():
    cases = [make_case(f"p{number}", seed=number) for number in range(5)]
    dataset = MemoryDataset(cases)
    dataset.manifest = {
        "patients": [{"id": case.id, "source_file": f"{case.id}.nii.gz"} for case in cases]
    }
    return dataset


def backprojection(seen):
    """Return a run whose network back-projects its films; ``seen`` collects the films."""

    def reconstruct(films):
        seen.append({view: films[view][0, ..., 0].copy() for view in films})
        ap, la = films["ap"], films["la"]
        return 0.5 * (ap[:, :, None] + la[:, None])

    return make_run(reconstruct, None)


def cohort_of(dataset, split="test"):
    return choose_cohort(dataset, [Training("0" * 64, 0)], split)


def test_every_perturbation_of_every_test_patient(dataset):
    seen = []
    rows = robustness_rows(backprojection(seen), cohort_of(dataset))
    assert {row["id"] for row in rows} == {"p4"}
    found = [(row["perturbation"], row["severity"]) for row in rows]
    assert found[:2] == [("mean-volume", 0), ("none", 0)]
    assert found[2:] == [
        (name, severity)
        for name, perturbation in PERTURBATIONS.items()
        if name != "full"
        for severity in perturbation.severities
    ]
    # The mean volume needs no film; each of the other rows has its own pair of films.
    assert len(seen) == len(rows) - 1
    assert len({films["la"].tobytes() for films in seen}) == len(seen)
    assert rows == robustness_rows(backprojection([]), cohort_of(dataset))
    changed = {row["psnr"] for row in rows}
    assert len(changed) > 30
    # Without the training patients there is no mean of them.
    others = choose_cohort(dataset, [Training("1" * 64, 0)], "test", 0)
    assert robustness_rows(backprojection([]), others) == rows[1:]


@pytest.fixture
def two_folds(dataset, monkeypatch):
    """The folds that the program opens: p4 and p3 are the test patients of two networks."""
    dataset.manifest["projection"] = {"geometry": "parallel"}
    config, split = TrainingConfig(data="DATA"), dataset.split(0)
    dataset.split = {0: split, 1: dataclasses.replace(split, test=["p3"], validation=["p4"])}.get
    folds, runs = [], {}
    for number in range(2):
        folder = pathlib.Path("row", str(number))
        cohort = choose_cohort(dataset, [Training("0" * 64, number)], "test", number)
        folds.append(EvaluatedFold(folder, dataclasses.replace(config, fold=number), cohort))
        runs[folder] = backprojection([])
        runs[folder].config = folds[-1].config
    monkeypatch.setattr(robustness, "open_folds", lambda workdir, data, split: folds)
    monkeypatch.setattr("xctrs_tf.training.prediction.compile_run", lambda run: run)
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda folder, checkpoint: runs[folder])
    return folds


@pytest.mark.usefixtures("two_folds")
def test_every_patient_by_the_network_of_their_fold(tmp_path):
    flags = ["--workdir=row", "--perturbations=swapped", f"--output={tmp_path}"]
    assert robustness.main(flags) == 0
    lines = read_csv(tmp_path / "robustness.csv")
    found = [(line["fold"], line["id"]) for line in lines if line["perturbation"] == "swapped"]
    assert found == [("0", "p4"), ("1", "p3")]
    origin = read_json(tmp_path / "robustness.json")
    assert (origin["n"], origin["folds"], origin["steps"]) == (2, [0, 1], [7, 7])
    assert origin["command"].endswith(
        f"--workdir=row --perturbations=swapped --output={tmp_path.name}"
    )


def test_a_choice_is_made_on_validation_patients(dataset):
    rows = robustness_rows(backprojection([]), cohort_of(dataset, "validation"))
    assert {row["id"] for row in rows} == set(dataset.split(0).validation)
    assert not {row["id"] for row in rows} & {"p4"}
    chosen = robustness_rows(backprojection([]), cohort_of(dataset), names=("exposure",))
    assert {row["perturbation"] for row in chosen} == {"none", "mean-volume", "exposure"}


def test_the_whole_scan_is_used_if_it_is_available(dataset, tmp_path):
    case = dataset.load("p4")
    scan = np.pad(case.ct, ((0, 0), (0, 0), (0, 9)), constant_values=-1000)
    scan[4:8, 5:9, 40] = 1500
    write_volume(tmp_path / "p4.nii.gz", scan, case.spacing_mm, case.origin_mm)
    seen = []
    rows = robustness_rows(backprojection(seen), cohort_of(dataset), scans=tmp_path)
    (place,) = [i for i, row in enumerate(rows) if row["perturbation"] == "full"]
    # Bone above the crop does not change the films of parallel rays.
    frame = VolumeFrame(32, case.spacing_mm, case.origin_mm)
    volume = Volume(case.ct, (case.spacing_mm,) * 3, case.origin_mm)
    crop = films_of(volume, frame, ProjectionGeometry(field_of_view="full"))
    low, high = crop["ap"].min(), crop["ap"].max()
    assert np.allclose(seen[place - 1]["ap"], (crop["ap"] - low) / (high - low), atol=0.02)
    with pytest.raises(UserError, match=r"absent/p4.nii.gz: no such file; let --scans name"):
        robustness_rows(backprojection([]), cohort_of(dataset), scans=tmp_path / "absent")


def test_a_scan_in_parts_is_joined(dataset, tmp_path):
    case = dataset.load("p4")
    parts = (slice(0, 20), slice(14, None))
    for number, planes in enumerate(parts):
        origin_mm = (0.0, 0.0, case.spacing_mm * planes.start)
        array = case.ct[:, :, planes]
        write_volume(tmp_path / f"{number}.nii.gz", array, case.spacing_mm, origin_mm)
    write_volume(tmp_path / "p4.nii.gz", case.ct, case.spacing_mm, case.origin_mm)
    seen = []
    robustness_rows(backprojection(seen), cohort_of(dataset), scans=tmp_path, names=("full",))
    record = dataset.manifest["patients"][4]
    record |= {"source_file": "0.nii.gz", "source_files": ["1.nii.gz", "0.nii.gz"]}
    robustness_rows(backprojection(seen), cohort_of(dataset), scans=tmp_path, names=("full",))
    whole, joined = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(whole) == len(joined) == 2
    for one, other in zip(whole, joined, strict=True):
        np.testing.assert_array_equal(one["ap"], other["ap"])
    (tmp_path / "1.nii.gz").unlink()
    with pytest.raises(UserError, match=r"1.nii.gz: no such file"):
        read_scan(tmp_path, record)


def test_a_scan_is_read_as_experiments_prepare_reads_it(tmp_path):
    write_pair(tmp_path / "a_ct.nii.gz", tmp_path / "a_seg.nii.gz")
    source = CorrectedSource(NiftiSource(tmp_path), {"a": "rotate180z"})
    (key,) = source.scans("a")
    ct = source.load(key).ct
    record = {"id": "a", "image_sha256": image_hash(ct), **source.record(key)}
    scan = read_scan(tmp_path, record)
    np.testing.assert_array_equal(scan.array, ct.array)
    assert (scan.spacing_mm, scan.origin_mm) == (ct.spacing_mm, ct.origin_mm)
    assert not np.array_equal(scan.array, read_ct(tmp_path / "a_ct.nii.gz")[0].array)
    # Another scan of this name.
    write_pair(tmp_path / "a_ct.nii.gz", tmp_path / "a_seg.nii.gz", seed=1)
    with pytest.raises(UserError, match=r"a_ct.nii.gz: not the scan .*; let --scans .* prepare$"):
        read_scan(tmp_path, record)


def test_an_oblique_scan_may_have_been_prepared_by_an_earlier_version(tmp_path):
    tilt = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]])
    write_volume(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), "int16"), 2.0, (0, 0, 0), tilt)
    record = {"id": "a", "source_file": "a.nii.gz", "image_sha256": "a" * 64}
    with pytest.raises(UserError, match=r"not the scan that patient a .*, or prepare the data"):
        read_scan(tmp_path, record)


@pytest.mark.usefixtures("two_folds")
def test_scans_that_are_not_those_of_all_patients(dataset, tmp_path, caplog):
    scans, output = tmp_path / "scans", tmp_path / "output"
    scans.mkdir()
    for name in ("p3", "p4"):
        case = dataset.load(name)
        write_volume(scans / f"{name}.nii.gz", case.ct, case.spacing_mm, case.origin_mm)
    flags = ("--workdir=row", f"--scans={scans}", f"--output={output}")
    asked = (*flags, "--perturbations=full")
    result = run_program("studies.robustness", *asked)
    assert result.returncode == 0, result.stderr
    lines = read_csv(output / "robustness.csv")
    assert [line["id"] for line in lines if line["perturbation"] == "full"] == ["p4", "p3"]
    # p3 is another scan now, and then it is gone.
    dataset.manifest["patients"][3]["image_sha256"] = "a" * 64
    refused = tmp_path / "refused"
    asked = (*asked[:2], f"--output={refused}", asked[-1])
    message = "p3.nii.gz: not the scan that patient p3 was prepared from; let --scans name"
    assert_refused(run_program("studies.robustness", *asked), message, refused)
    (scans / "p3.nii.gz").unlink()
    message = "p3.nii.gz: no such file; let --scans name"
    assert_refused(run_program("studies.robustness", *asked), message, refused)
    without = (asked[0], *asked[2:])
    message = "--perturbations=full: needs the scans; name them with --scans"
    assert_refused(run_program("studies.robustness", *without), message, refused)
    # Nobody asked for this row: it is left out for all patients, and one line tells why.
    result = run_program("studies.robustness", *flags)
    assert result.returncode == 0
    (warning,) = [each for each in caplog.messages if "left out" in each]
    assert warning.startswith("whole scan instead of the crop: left out, since ")
    assert "p3.nii.gz: no such file" in warning
    assert "full" not in {line["perturbation"] for line in read_csv(output / "robustness.csv")}
    table = (output / "robustness.md").read_text(encoding="utf-8")
    assert "| whole scan instead of the crop | not run: needs the scans |" in table
