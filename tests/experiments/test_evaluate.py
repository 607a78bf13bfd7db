import csv
import dataclasses
import json

import numpy as np
import pytest

from experiments.common.evaluated_models import loaded_run
from experiments.evaluate import evaluate_model
from tests.evaluation.patients import SIZE, MemoryDataset, make_case, make_run
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort
from xctrs_tf.evaluation.predictions import read_prediction
from xctrs_tf.folder_lock import folder_lock


@pytest.fixture
def dataset():
    """Patients p0 to p4, 100 HU apart; the spine of p4 is a voxel further left."""
    cases = [make_case(f"p{i}", seed=i, hu=100 * i) for i in range(5)]
    cases[4].segmentation[:] = np.roll(cases[4].segmentation, 1, axis=0)
    return MemoryDataset(cases)


def oracle(dataset, patient):
    """Return a run that gives the true arrays of a patient."""
    case = dataset.load(patient)
    ct = normalise_hu(case.ct)[None, ..., None]
    probabilities = np.eye(8, dtype="float32")[case.segmentation][None]
    return make_run(lambda films: ct, lambda volume: probabilities)


def evaluate_run(run, dataset, split, output, name=None, **options):
    """Evaluate a run on its own data."""
    model = loaded_run(run)
    if name is not None:
        model = dataclasses.replace(model, name=name)
    cohort = choose_cohort(dataset, [Training("0" * 64, 0)], split)
    with folder_lock(output):
        return evaluate_model(model, cohort, output, **options)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_files_and_table(tmp_path, dataset):
    output = tmp_path / "deep" / "evaluation"
    text = evaluate_run(
        oracle(dataset, "p4"),
        dataset,
        "test",
        output,
        num_figures=1,
        label_name="pseudo-label Dice",
    )
    assert sorted(path.name for path in output.iterdir()) == [
        "baselines.csv",
        "baselines.json",
        "case-p4.png",
        "cases.csv",
        "cases.json",
        "table.md",
    ]
    (row,) = read(output / "cases.csv")
    assert (row["id"], row["psnr"], row["dice_mean"]) == ("p4", "inf", "1.000000")
    # The mean of p0, p1 and p2 is 300 HU too low outside the bones; its labels
    # share 9 of 10 sagittal planes with the truth.
    (baseline,) = read(output / "baselines.csv")
    outside = 1 - 7 * 10 * 12 * 3 / SIZE**3
    assert baseline["id"] == "p4"
    assert float(baseline["mae_hu"]) == pytest.approx(300 * outside, abs=0.1)
    assert float(baseline["dice_mean"]) == pytest.approx(0.9)

    for expected in ("pseudo-label Dice (%)", "X-CTRSNet", "mean volume", "private cohort"):
        assert expected in text
        assert expected.replace("X-CTRSNet", "X-CTRSNet (1 patient)") in (
            output / "table.md"
        ).read_text(encoding="utf-8")
    assert str(output / "case-p4.png") in text


def test_provenance(tmp_path, dataset):
    evaluate_run(oracle(dataset, "p3"), dataset, "validation", tmp_path, num_figures=0)
    origin = json.loads((tmp_path / "cases.json").read_text(encoding="utf-8"))
    expected = {
        "n": 1,
        "seed": 3,
        "data_hash": "0" * 64,
        "split": "validation",
        "fold": 0,
        "step": 7,
        "weights_sha256": "e" * 64,
        "training_patients": 3,
        "method": "X-CTRSNet",
    }
    assert {key: origin[key] for key in expected} == expected
    assert not list(tmp_path.glob("*.png"))


def test_all_patients_of_the_split_but_only_some_figures(tmp_path, dataset):
    evaluate_run(oracle(dataset, "p0"), dataset, "training", tmp_path, num_figures=1)
    assert [row["id"] for row in read(tmp_path / "cases.csv")] == ["p0", "p1", "p2"]
    assert [path.name for path in tmp_path.glob("*.png")] == ["case-p0.png"]


def test_another_method_has_its_own_name_and_no_row_of_the_paper(tmp_path, dataset):
    text = evaluate_run(oracle(dataset, "p4"), dataset, "test", tmp_path, name="SIT", num_figures=0)
    assert "SIT" in text
    assert not {"X-CTRSNet", "private cohort"} & set(text.split("\n")[3].split())
    assert "private cohort" not in text + (tmp_path / "table.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "cases.json").read_text(encoding="utf-8"))["method"] == "SIT"


def test_a_run_that_segments_the_patients_ct_has_no_image_figures(tmp_path, dataset):
    case = dataset.load("p4")
    probabilities = np.eye(8, dtype="float32")[case.segmentation][None]
    run = make_run(None, lambda volume: probabilities)
    run.reconstruction = None
    evaluate_run(run, dataset, "test", tmp_path, num_figures=1, save_predictions=True)
    (row,) = read(tmp_path / "cases.csv")
    assert [row[key] for key in ("psnr", "ssim", "ssim_3d", "mae_hu", "mae_bone_hu")] == [""] * 5
    assert row["dice_mean"] == "1.000000"
    stored = read_prediction(tmp_path / "predictions", "p4")
    assert stored.ct is None
    assert np.array_equal(stored.segmentation, case.segmentation)


def test_predictions_are_kept_if_asked_for(tmp_path, dataset):
    case = dataset.load("p0")
    evaluate_run(
        oracle(dataset, "p0"), dataset, "training", tmp_path, num_figures=0, save_predictions=True
    )
    assert len(list((tmp_path / "predictions").iterdir())) == 3
    stored = read_prediction(tmp_path / "predictions", "p0")
    assert (stored.ct.dtype, stored.segmentation.dtype) == (np.int16, np.uint8)
    assert np.array_equal(stored.ct, case.ct)
    with pytest.raises(UserError, match=r"p3.npz: missing; run .* --save_predictions"):
        read_prediction(tmp_path / "predictions", "p3")


def foreign_files(folder):
    """Write files that an evaluation's own might be taken for; return their names."""
    files = [folder / name for name in ("case-old.png", "predictions/old.npz", "predictions/notes")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_files_that_no_evaluation_wrote_stay(tmp_path, dataset):
    run, options = oracle(dataset, "p4"), {"num_figures": 1, "save_predictions": True}
    foreign = foreign_files(tmp_path)
    evaluate_run(run, dataset, "test", tmp_path, **options)
    own = [tmp_path / "case-p4.png", tmp_path / "predictions" / "p4.npz"]
    assert all(file.is_file() for file in (*own, *foreign))
    # Now the folder is that of an evaluation.
    evaluate_run(run, dataset, "test", tmp_path, num_figures=0)
    assert [file for file in (*own, *foreign) if file.is_file()] == [tmp_path / "predictions/notes"]


def test_in_the_folder_of_a_run_nothing_of_a_stopped_evaluation_stays(tmp_path, dataset):
    (tmp_path / "config.json").touch()
    drawing, prediction, notes = foreign_files(tmp_path / "evaluation")
    notes.unlink()
    evaluate_run(oracle(dataset, "p4"), dataset, "test", tmp_path / "evaluation", num_figures=0)
    assert not drawing.exists() and not prediction.parent.exists()


def test_networks_that_give_no_numbers_leave_nothing_behind(tmp_path, dataset):
    broken = make_run(lambda films: np.full((1, SIZE, SIZE, SIZE, 1), np.nan, "float32"), None)
    with pytest.raises(UserError, match="no numbers for p4"):
        evaluate_run(broken, dataset, "test", tmp_path / "evaluation")
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_a_file_is_refused(tmp_path, dataset):
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="taken: not a folder; choose another output folder"):
        evaluate_run(oracle(dataset, "p4"), dataset, "test", tmp_path / "taken", num_figures=0)
