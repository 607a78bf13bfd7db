"""Runs and exported models on their own and on other data, by the command line."""

import csv
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from experiments.common.evaluated_models import model_of_exports, training_of_export
from tests.data.cases import write_dataset
from tests.export.runs import SIZE, toy_run, write_config
from tests.programs import assert_refused, rights_of_others, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.files import read_json
from xctrs_tf.reconstruction.export_files import model_sha256


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Folders OWN (6 patients, 3 folds), OTHER (4 patients), ONE and LARGE of random voxels."""
    home = tmp_path_factory.mktemp("home")
    write_dataset(home / "OWN", 6, SIZE, num_folds=3)
    write_dataset(home / "OTHER", 4, SIZE, num_folds=2)
    write_dataset(home / "ONE", 1, SIZE, num_folds=1)
    write_dataset(home / "SMALL", 3, 16, num_folds=3)
    return home


@pytest.fixture(scope="module")
def model(home):
    sha256 = open_dataset(home / "OWN").content_hash()
    return export_run(toy_run(home / "toy", str(home / "OWN"), sha256, fold=1), home / "MODEL")


@pytest.fixture
def run(home, monkeypatch):
    """The run folder RUN, of the first fold; its networks are those of a toy."""
    sha256 = open_dataset(home / "OWN").content_hash()
    toy = toy_run(home / "RUN", str(home / "OWN"), sha256)
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda workdir, checkpoint: toy)
    return home / "RUN"


def evaluate(*flags):
    return run_program("evaluate", "--figures=1", *map(str, flags))


def ids(folder):
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_model_on_its_own_and_then_on_other_data_in_one_folder(home, model, tmp_path):
    flags = (f"--model={model.parent}", f"--output={tmp_path / 'out'}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    first = evaluate(*flags, f"--data={home / 'OWN'}", "--save_predictions")
    assert (first.returncode, "WARNING" in first.stderr) == (0, False), first.stderr
    assert ids(tmp_path / "out") == ["p1", "p4"]
    assert "mean volume" in first.stdout
    origin = read_json(tmp_path / "out" / "cases.json")
    expected = {"split": "test", "fold": 1, "is_training_data": True, "trained_on": 0, "step": 7}
    expected |= {"models": 1, "mirror": False, "seed": 0, "training_patients": 3}
    assert {name: origin[name] for name in expected} == expected
    assert len(origin["model_sha256"][0]) == 64

    second = evaluate(*flags, f"--data={home / 'OTHER'}")
    assert second.returncode == 0, second.stderr
    (warning,) = [line for line in second.stderr.splitlines() if line.startswith("WARNING")]
    assert "OTHER: not the data that the model was trained on" in warning
    assert ids(tmp_path / "out") == ["p0", "p1", "p2", "p3"]
    assert "The mean volume of the training patients is left out" in second.stdout
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "not the data that the model was trained on" in table and "left out" in table
    # No figure, prediction or baseline of before.
    assert names(tmp_path / "out") == [
        *("case-p0.png", "cases.csv", "cases.json", "notes.txt", "table.md"),
    ]
    origin = read_json(tmp_path / "out" / "cases.json")
    assert (origin["split"], origin["fold"], origin["is_training_data"]) == ("all", None, False)


def test_an_export_tells_which_patients_were_held_out(home, tmp_path):
    dataset = open_dataset(home / "OWN")
    run = toy_run(tmp_path / "run", str(home / "OWN"), fold=1)
    write_config(run.path, run.config, dataset.content_hash(), dataset.split_hash(1))
    (training,) = model_of_exports([export_run(run, tmp_path / "model")]).trainings
    assert training.split_sha256 == dataset.split_hash(1) and training.is_on(dataset)
    assert not dataclasses.replace(training, fold=0).is_on(dataset)


def test_a_version_that_is_exported_in_the_meantime_is_not_evaluated(home, model, tmp_path):
    folder = shutil.copytree(model.parent, tmp_path / "MODEL")
    described = model_of_exports([folder])
    newer = shutil.copytree(model, folder / "2")
    # No model that could be loaded.
    (newer / "saved_model.pb").write_bytes(b"")
    assert described.load().origin["model_sha256"] == [model_sha256(model)]


def test_files_of_other_people_are_not_replaced(home, run, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "table.md").write_text("mine", encoding="utf-8")
    flags = (f"--workdir={run}", f"--output={mine}", "--figures=0")
    result = run_program("evaluate", *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"error: --output={mine}: table.md in it is not of a whole evaluation, and would be "
        "replaced; name another folder, or move the file away"
    ]
    assert names(mine) == ["table.md"]
    (mine / "table.md").rename(mine / "notes.md")
    # The second time its own files are there.
    for _ in range(2):
        assert run_program("evaluate", *flags).returncode == 0
    assert (mine / "notes.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.usefixtures("usual_umask")
def test_one_patient_and_several_mirrored_models(home, model, tmp_path):
    weaker = export_run(toy_run(home / "toy2", gain=1.0), home / "MODEL2")
    flags = [f"--model={folder}" for folder in (model, weaker)]
    result = evaluate(*flags, "--mirror", f"--data={home / 'ONE'}", f"--output={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    assert ids(tmp_path / "out") == ["p0"]
    assert rights_of_others(tmp_path / "out") == {0}
    origin = read_json(tmp_path / "out" / "cases.json")
    assert (origin["models"], origin["mirror"]) == (2, True)
    assert origin["step"] is None and len(set(origin["model_sha256"])) == 2
    assert origin["method"].startswith("2 times ")


def test_a_run_on_other_data_keeps_its_own_evaluation(home, run):
    own = evaluate(f"--workdir={run}")
    assert own.returncode == 0, own.stderr
    before = {path: path.read_bytes() for path in (run / "evaluation").iterdir()}
    assert read_json(run / "evaluation" / "cases.json")["fold"] == 0

    other = evaluate(f"--workdir={run}", f"--data={home / 'OTHER'}", "--split=all")
    assert other.returncode == 0, other.stderr
    assert "not the data that the model was trained on" in other.stderr
    assert ids(run / "evaluation-OTHER-all") == ["p0", "p1", "p2", "p3"]
    # The mean volume of the run's own training patients, whose folder is at hand.
    assert (run / "evaluation-OTHER-all" / "baselines.csv").is_file()
    assert read_json(run / "evaluation-OTHER-all" / "cases.json")["training_patients"] == 3

    train = evaluate(f"--workdir={run}", "--split=train", "--mirror")
    assert "3 of these 3 patients are training patients of the model" in train.stderr
    assert len(ids(run / "evaluation-train-mirror")) == 3
    fold = evaluate(f"--workdir={run}", "--fold=1")
    assert "of these 2 patients are training patients" in fold.stderr
    assert ids(run / "evaluation-test-fold-1") == ["p1", "p4"]
    assert {path: path.read_bytes() for path in (run / "evaluation").iterdir()} == before


def test_newest_weights_have_a_folder_of_their_own(home, run):
    last = evaluate(f"--workdir={run}", "--checkpoint=last", "--figures=0")
    assert last.returncode == 0, last.stderr
    assert ids(run / "evaluation-test-last") == ["p0", "p3"]
    flags = (f"--workdir={run}", "--checkpoint=last", f"--output={run / 'evaluation'}")
    before = sorted(run.rglob("*"))
    assert_refused(evaluate(*flags), "is for the figures of that run's best")
    assert sorted(run.rglob("*")) == before


def test_two_data_folders_of_one_name(home, run, tmp_path):
    data = write_dataset(tmp_path / "SAME", 1, SIZE, num_folds=1)
    flags = (f"--workdir={run}", f"--data={data}", "--figures=0")
    output = run / "evaluation-SAME-all"
    output.mkdir()
    (output / "cases.json").write_text(json.dumps({"data_hash": "a" * 64}), encoding="utf-8")
    message = "evaluation-SAME-all: holds the figures of other data of that name; name a folder"
    assert_refused(evaluate(*flags), message)
    assert names(output) == ["cases.json"]
    for more in ([f"--output={output}"], []):
        result = evaluate(*flags, *more)
        assert result.returncode == 0, result.stderr
    assert read_json(output / "cases.json")["data_hash"] == open_dataset(data).content_hash()


@pytest.fixture(scope="module")
def cone(home):
    """Data of which the manifest says that the rays are those of a cone."""
    write_dataset(home / "CONE", 2, SIZE, num_folds=2)
    manifest = read_json(home / "CONE" / "manifest.json")
    projection = FilmSimulation(ProjectionGeometry.preset("clinical")).to_json()
    text = json.dumps({**manifest, "projection": projection})
    (home / "CONE" / "manifest.json").write_text(text, encoding="utf-8")
    return home / "CONE"


def test_films_of_other_rays_are_told_and_not_mirrored(home, model, run, cone, tmp_path):
    flags = (f"--data={cone}", f"--output={tmp_path / 'X'}", "--figures=0")
    for flag in (f"--workdir={run}", f"--model={model}"):
        refused = "--mirror: with a cone beam the LA film of the mirrored patient is another film"
        assert_refused(evaluate(flag, *flags, "--mirror"), refused, tmp_path / "X")
    # Metadata of the export tell the films of its training.
    result = evaluate(flag, *flags)
    assert result.returncode == 0, result.stderr
    assert (
        "; its films are made otherwise than those of the training data: kind cone instead of "
        in (result.stderr)
    )


@pytest.mark.parametrize("data", [None, {}, {"projection": 3}, {"projection": {"kind": "cone"}}])
def test_an_export_that_does_not_tell_how_its_films_were_made(data):
    metadata = {"training": {"fold": 0}, "data_sha256": "a" * 64, "data": data}
    training = training_of_export(metadata)
    assert (training.takes_films, training.films) == (True, None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data={home}/OTHER --output={home}/RUN/evaluation", "/evaluation: is for the figures"),
        ("--split=train --output={home}/RUN/../RUN/evaluation", "is for the figures of that run"),
        (
            "--mirror --output={home}/RUN/evaluation",
            "is for the figures of that run's best weights on",
        ),
        ("--fold=3 --output={home}/X", "fold 3: "),
        ("--split=all --fold=1 --output={home}/X", "--fold=1: --split=all takes the patients of"),
        ("--data={home}/SMALL --output={home}/X", "16 voxels a side, the run"),
        ("--model={home}/MODEL --output={home}/X", "--workdir, --model: give a run or an"),
        ("--model_sha256=0 --output={home}/X", "--model_sha256: is for --model"),
    ],
)
def test_mistakes_with_a_run(home, run, flags, message):
    flags = [flag.format(home=home) for flag in flags.split()]
    before = sorted(home.rglob("*"))
    assert_refused(evaluate(f"--workdir={run}", *flags), message)
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--output={home}/X", "--data: missing; name the prepared data to evaluate --model on"),
        ("--data={home}/OTHER", "--output: missing; name a folder for the figures of --model"),
        ("--data={home}/SMALL --output={home}/X", "prepare with --size=32"),
        ("--data={home}/OTHER --output={home}/RUN/evaluation", "is for the figures of that run"),
        ("--data={home}/OTHER --output={home}/X --checkpoint=last", "--checkpoint: an exported"),
    ],
)
def test_mistakes_with_a_model(home, model, run, flags, message):
    flags = [flag.format(home=home) for flag in flags.split()]
    before = sorted(home.rglob("*"))
    assert_refused(evaluate(f"--model={model}", *flags), message)
    assert sorted(home.rglob("*")) == before


def test_the_name_of_the_overlap_is_that_of_the_data(home, model, tmp_path):
    manifest = home / "ONE" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    named = {**json.loads(text), "label_name": "pseudo-label Dice"}
    manifest.write_text(json.dumps(named), encoding="utf-8")
    flags = (f"--model={model}", f"--data={home / 'ONE'}", f"--output={tmp_path / 'out'}")
    try:
        assert "pseudo-label Dice" in evaluate(*flags).stdout
        assert read_json(tmp_path / "out" / "cases.json")["dice_name"] == "pseudo-label Dice"
        assert "expert Dice" in evaluate(*flags, "--label_name=expert Dice").stdout
    finally:
        manifest.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("usual_umask")
def test_the_figures_are_those_of_the_reconstruction(home, model, tmp_path):
    from xctrs_tf.evaluation.predictions import read_prediction
    from xctrs_tf.reconstruction import load

    flags = (f"--model={model}", f"--data={home / 'ONE'}", f"--output={tmp_path / 'out'}")
    evaluate(*flags, "--save_predictions", "--share")
    assert rights_of_others(tmp_path / "out") == {0o055, 0o044}
    case = open_dataset(home / "ONE").load("p0")
    expected = load(model)(case.ap, case.la, case.spacing_mm)
    stored = read_prediction(pathlib.Path(tmp_path / "out" / "predictions"), "p0")
    np.testing.assert_array_equal(stored.ct, expected.ct_hu)
    np.testing.assert_array_equal(stored.segmentation, expected.segmentation)
