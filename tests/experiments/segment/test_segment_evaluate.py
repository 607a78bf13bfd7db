"""experiments.segment.evaluate: files, continuing, and patients that were trained on."""

import csv
import json

import pytest

from experiments.segment import trained_patients
from experiments.segment.evaluate import evaluate_segmenter
from experiments.segment.trained_patients import (
    TrainedOn,
    choose_patients,
    image_digits,
    read_trained_on,
)
from tests.experiments.segment.segmented_data import (
    TrueSegmenter,
    earlier_training,
    told,
    write_boxes,
    write_segmenting_run,
)
from tests.programs import assert_refused, run_program
from xctrs_tf.ct_segmentation import segmenter as segmenter_module
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.reconstruction.export_files import CLASSES, EXPORT_FORMAT


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_boxes(tmp_path_factory.mktemp("boxes") / "data")


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    """Run of fold 1, whose test patients are p1 and p6."""
    return write_segmenting_run(tmp_path_factory.mktemp("run") / "run", dataset)


def read(file):
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def record(folder):
    return json.loads((folder / "cases.json").read_text(encoding="utf-8"))


def evaluate(run, data, output, *flags):
    folders = (f"--model={run}", f"--data={data}", f"--output={output}")
    return run_program("segment.evaluate", *folders, *flags)


@pytest.fixture
def loaded(monkeypatch, dataset):
    """The segmenter that the program loads."""
    segmenter = TrueSegmenter(dataset)
    monkeypatch.setattr(segmenter_module, "load_segmenter", lambda model: segmenter)
    return segmenter


def test_the_test_patients_of_the_run_are_evaluated_on_their_scans(tmp_path, run, dataset, loaded):
    result = evaluate(run, dataset.path, tmp_path / "figures")
    assert (result.returncode, result.stderr) == (0, "")
    assert "pseudo-label Dice (%)" in result.stdout and "100.0" in result.stdout
    files = ["cases.csv", "cases.json", "table.csv", "table.md"]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == files
    rows = read(tmp_path / "figures" / "cases.csv")
    assert [(row["id"], row["identified_mean"]) for row in rows] == [
        ("p1", "1.000000"),
        ("p6", "1.000000"),
    ]
    found = record(tmp_path / "figures")
    expected = {"n": 2, "split": "test", "fold": 1, "trained_on": 0, "is_training_data": True}
    expected |= {"dice_name": "pseudo-label Dice", "scans": True, "model": loaded.record}
    assert {name: found[name] for name in expected} == expected
    assert [each["id"] for each in found["patients"]] == ["p1", "p6"]
    table = (tmp_path / "figures" / "table.md").read_text(encoding="utf-8")
    assert "Made by `python -m experiments.segment.evaluate" in table
    assert {line["label_name"] for line in read(tmp_path / "figures" / "table.csv")} == {
        "pseudo-label Dice"
    }
    # Names of patients are in them.
    assert (tmp_path / "figures").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["table.csv", "unfinished.json"])
def test_files_of_other_people_are_not_replaced(tmp_path, run, dataset, loaded, name):
    (tmp_path / name).write_text("[1]", encoding="utf-8")
    result = evaluate(run, dataset.path, tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --output={tmp_path}: {name} in it is not of a whole evaluation")
    assert loaded.asked == [] and [path.name for path in tmp_path.iterdir()] == [name]


def test_patients_that_were_trained_on_are_said(tmp_path, run, dataset, loaded):
    result = evaluate(run, dataset.path, tmp_path, "--split=all")
    assert "7 of these 10 patients are training patients of the model" in result.stderr
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "7 of these 10 patients are training patients" in table
    assert record(tmp_path)["trained_on"] == 7


def test_other_voxels_are_no_matter_to_a_network_that_gets_its_own(tmp_path, run, loaded):
    other = write_boxes(tmp_path / "other", images="other", keep_scan=False)
    manifest = other.manifest
    for patient in manifest["patients"]:
        patient["spacing_mm"] = 2.0
    (other.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    loaded.dataset = open_dataset(other.path)
    result = evaluate(run, other.path, tmp_path / "figures")
    table = (tmp_path / "figures" / "table.md").read_text(encoding="utf-8")
    for text in (result.stderr, table):
        assert "not the data that the model was trained on; none of its scans" in text
        assert "voxels of" not in text


def test_a_stopped_evaluation_goes_on(tmp_path, run, dataset):
    cohort = choose_patients(dataset, read_trained_on(run), "all")

    class Stopped(TrueSegmenter):
        def __call__(self, scan, progress=None):
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().__call__(scan, progress)

    with pytest.raises(KeyboardInterrupt):
        evaluate_segmenter(Stopped(dataset), cohort, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished.json"]
    again = TrueSegmenter(dataset)
    evaluate_segmenter(again, cohort, tmp_path)
    assert again.asked == dataset.ids[3:]
    assert [row["id"] for row in read(tmp_path / "cases.csv")] == dataset.ids
    assert not (tmp_path / "unfinished.json").exists()


def test_results_of_another_network_are_not_taken_over(tmp_path, run, dataset):
    cohort = choose_patients(dataset, read_trained_on(run))

    class Stopped(TrueSegmenter):
        def __call__(self, scan, progress=None):
            if self.asked:
                raise KeyboardInterrupt
            return super().__call__(scan, progress)

    with pytest.raises(KeyboardInterrupt):
        evaluate_segmenter(Stopped(dataset, weights_sha256="v" * 64), cohort, tmp_path)
    segmenter = TrueSegmenter(dataset)
    evaluate_segmenter(segmenter, cohort, tmp_path)
    assert segmenter.asked == ["p1", "p6"]


def test_a_patient_without_a_spine_found_is_a_miss(tmp_path, run, dataset):
    cohort = choose_patients(dataset, read_trained_on(run))
    printed = evaluate_segmenter(TrueSegmenter(dataset, without=["p6"]), cohort, tmp_path)
    assert "no cervical spine found in 1; 7 vertebrae without a label" in printed
    rows = read(tmp_path / "cases.csv")
    assert [row["dice_mean"] for row in rows] == ["1.000000", "0.000000"]
    assert record(tmp_path)["patients"][1]["problems"] == ["patient p6: no cervical spine found"]


def test_phantoms_without_scans_are_evaluated_on_their_crops(tmp_path, run):
    phantoms = write_boxes(tmp_path / "phantoms", images="phantom", keep_scan=False)
    cohort = choose_patients(phantoms, read_trained_on(run))
    (tmp_path / "figures").mkdir()
    evaluate_segmenter(TrueSegmenter(phantoms), cohort, tmp_path / "figures")
    assert record(tmp_path / "figures")["scans"] is False
    assert {row["dice_mean"] for row in read(tmp_path / "figures" / "cases.csv")} == {"1.000000"}


def test_all_folders_of_a_training_count(tmp_path, dataset):
    phantoms = write_boxes(tmp_path / "phantoms", images="phantom", keep_scan=False)
    both = write_segmenting_run(tmp_path / "both", dataset, phantoms)
    trained_on = read_trained_on(both)
    cohort = choose_patients(phantoms, trained_on)
    assert (cohort.split, cohort.fold, cohort.trained_on, cohort.is_own) == ("test", 1, 0, True)
    assert choose_patients(phantoms, trained_on, "all").trained_on == 7


def test_the_same_scans_in_another_folder_are_known(tmp_path, run):
    # The crops are others, so that the hash of the folder is another one.
    same = write_boxes(tmp_path / "same", keep_scan=False)
    cohort = choose_patients(same, read_trained_on(run))
    assert (cohort.split, cohort.trained_on, cohort.is_own) == ("all", 7, False)
    assert "7 of these 10 scans are those of training patients" in cohort.warning()


def test_an_earlier_training_on_another_fold_counts(tmp_path, dataset):
    begun = write_segmenting_run(
        tmp_path / "run", dataset, stages=[earlier_training(0, told(dataset, 0))]
    )
    cohort = choose_patients(dataset, read_trained_on(begun))
    seen = {"p1", "p6"} & set(dataset.split(0).training)
    assert (cohort.ids, cohort.is_own, cohort.trained_on) == (["p1", "p6"], True, len(seen))
    assert seen
    # By other crops, too; with fold 0, only its own test and validation patients are unseen.
    same = write_boxes(tmp_path / "same", keep_scan=False)
    trained = {*dataset.split(1).training, *dataset.split(0).training}
    assert choose_patients(same, read_trained_on(begun)).trained_on == len(trained) > 7


def test_an_earlier_training_on_unknown_data_is_said(tmp_path, dataset):
    other = write_boxes(tmp_path / "other", images="other", keep_scan=False)
    begun = write_segmenting_run(
        tmp_path / "run", dataset, stages=[earlier_training(2, told(other, 2))]
    )
    cohort = choose_patients(dataset, read_trained_on(begun))
    assert (cohort.ids, cohort.is_own, cohort.trained_on) == (["p1", "p6"], True, None)
    assert "or began with trained weights" in cohort.warning()
    # On the data of that training itself no path is needed.
    assert choose_patients(other, read_trained_on(begun), "all").trained_on == 7


def test_a_packed_network_tells_the_scans_that_it_was_trained_on(tmp_path, dataset):
    packed = tmp_path / "packed"
    (packed / EXPORTED_WEIGHTS).parent.mkdir(parents=True)
    (packed / EXPORTED_WEIGHTS).touch()
    metadata = {
        **{"format": EXPORT_FORMAT, "size": 64, "window_hu": [-1000, 1500], "classes": CLASSES},
        **{"frame": "LPS", "spacing_mm": 2.5},
        "training": {"fold": 1},
        "folders": [{"data_sha256": "a" * 64}],
        "trained_images": sorted(image_digits(dataset, ["p0", "p1"])),
    }
    file = packed / "assets.extra" / "metadata.json"
    file.write_text(json.dumps(metadata), encoding="utf-8")
    trained_on = read_trained_on(packed)
    assert trained_on.trainings == (Training("a" * 64, 1),)
    cohort = choose_patients(dataset, trained_on)
    assert (len(cohort.ids), cohort.trained_on) == (10, 2)
    begun = {**metadata, "stages": [earlier_training(0, told(dataset, 0))]}
    # In the data of an earlier training the ids tell, too.
    file.write_text(json.dumps(begun), encoding="utf-8")
    seen = {"p0", "p1", *dataset.split(0).training}
    assert choose_patients(dataset, read_trained_on(packed)).trained_on == len(seen) > 2
    # What the model lists decides, if it lists all.
    begun["stages"] = [earlier_training(0, {"data_sha256": "b" * 64})]
    file.write_text(json.dumps({**begun, "trained_images_complete": True}), encoding="utf-8")
    cohort = choose_patients(dataset, read_trained_on(packed))
    assert (cohort.trained_on, cohort.at_least) == (2, False)
    file.write_text(json.dumps({**begun, "trained_images_complete": False}), encoding="utf-8")
    cohort = choose_patients(dataset, read_trained_on(packed))
    assert (cohort.trained_on, cohort.at_least) == (2, True)
    assert "; at least 2 of these 10 scans are those of training patients" in cohort.warning()
    file.write_text(json.dumps({**begun, "trained_images": None}), encoding="utf-8")
    assert choose_patients(dataset, read_trained_on(packed)).trained_on is None
    file.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"metadata.json: missing, or not of format"):
        read_trained_on(packed)


@pytest.mark.parametrize(
    ("change", "is_complete"),
    [
        ({}, True),
        ({"stages": [earlier_training(1, {"data_sha256": "b" * 64})]}, True),
        ({"stages": [earlier_training(1, {"data_sha256": "c" * 64})]}, False),
        ({"stages": [earlier_training(1)]}, False),
        ({"folders": [{"data_sha256": "a" * 64, "sources": [{"source": "phantom"}]}]}, False),
        ({"folders": []}, False),
    ],
)
def test_a_list_that_does_not_say_so_is_complete_only_for_its_folders(change, is_complete):
    folders = [{"data_sha256": letter * 64} for letter in "ab"]
    metadata = {"training": {"fold": 1}, "folders": folders, "trained_images": ["0" * 16]}
    assert trained_patients._of_metadata(metadata | change).is_complete is is_complete


def test_the_list_of_the_network_of_the_package_lacks_earlier_trainings():
    trained_on = read_trained_on("vertebrae64")
    assert len(trained_on.images) == 238 and not trained_on.is_complete


def test_what_is_not_known_is_said(tmp_path):
    nameless = write_boxes(tmp_path / "nameless", images=None)
    for trained_on in (
        TrainedOn((Training(None, None),)),
        TrainedOn((Training(None, None),), frozenset(["b" * 16])),
    ):
        cohort = choose_patients(nameless, trained_on)
        assert cohort.trained_on is None
        assert "is not known" in cohort.warning()


def test_labels_that_the_network_made_are_refused(tmp_path, run):
    record = {"name": "true", "weights_sha256": "w" * 64}
    made = write_boxes(tmp_path / "made", labels={"made_by": "model", "model": record})
    cohort = choose_patients(made, read_trained_on(run))
    with pytest.raises(UserError, match="this model made its labels"):
        evaluate_segmenter(TrueSegmenter(made), cohort, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()
    other = TrueSegmenter(made, weights_sha256="v" * 64)
    (tmp_path / "figures").mkdir()
    assert "model-made Dice (%)" in evaluate_segmenter(other, cohort, tmp_path / "figures")
    assert "model-made Dice (%)" in (tmp_path / "figures" / "table.md").read_text(encoding="utf-8")


def test_the_name_of_model_made_labels_cannot_be_hidden(tmp_path, run, loaded):
    made = write_boxes(tmp_path / "made", labels={"made_by": "model", "model": {}})
    result = evaluate(run, made.path, tmp_path / "figures", "--label_name=Dice")
    assert_refused(result, "--label_name=Dice: a network made these labels", tmp_path / "figures")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=vertebrae65"], "--model=vertebrae65: no such folder; name a run"),
        (["--data=absent"], "absent"),
        (["--fold=7", "--split=test"], "fold 7"),
        (["--fold=1", "--split=all"], "--fold=1: --split=all takes the patients of all folds"),
    ],
)
def test_mistakes_are_one_line(tmp_path, run, dataset, flags, message):
    result = evaluate(run, dataset.path, tmp_path / "figures", *flags)
    assert_refused(result, message, tmp_path / "figures")
