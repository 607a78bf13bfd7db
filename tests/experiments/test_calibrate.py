import json
import shutil

import pytest

from tests.export.runs import SIZE, toy_run, write_config
from tests.programs import run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.export.metadata import describe_run
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.quality.reference import check_reference
from xctrs_tf.reconstruction.export_files import model_sha256
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.config import TrainingConfig


def prepare(folder, patients, seed, spacing_mm=4):
    flags = ["--source=phantom", f"--num_patients={patients}", f"--size={SIZE}", f"--seed={seed}"]
    flags += ["--num_folds=2", f"--spacing_mm={spacing_mm}", f"--output={folder}"]
    result = run_program("prepare", *flags)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data") / "phantoms", 14, 5)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data") / "other", 6, 6)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    sha256 = open_dataset(data).content_hash()
    export_run(toy_run(folder / "run", str(data), sha256), folder / "export")
    return folder / "export"


def test_calibrates_an_export(data, other, model, tmp_path):
    output = tmp_path / "quality.json"
    flags = [f"--model={model}", f"--data={data}", f"--data={other}", "--foreign_patients=2"]
    flags.append("--faults=none,la inverted,la of another patient")
    result = run_program("calibrate", *flags, f"--output={output}")
    assert result.returncode == 0, result.stderr
    reference = json.loads(output.read_text(encoding="utf-8"))
    assert reference["format"] == "xctrs-quality/3"
    assert reference["film_normalization"] == "percentile"
    assert reference["held_out"] + reference["training"] == 14
    assert f"{reference['held_out']} held-out patients" in result.stdout
    rates = reference["detection"]["la inverted"]
    assert {"pass", "review", "fail", "interval", "psnr_loss_db"} <= rates.keys()
    assert "la of another patient" in result.stdout
    assert {"ap_reprojection", "la_likeness"} <= reference["thresholds"].keys()
    (judged,) = reference["foreign"]
    assert (judged["patients"], judged["sources"][0]["source"]) == (2, "phantom")
    assert (judged["left_out"], judged["trained_on"]) == (0, 0)
    assert "is not known" not in result.stderr and "left out" not in result.stderr
    assert "2 patients of other data" in result.stdout
    check_reference(reference, output)
    assert reference["origin"]["weights_sha256"] is None
    pin = model_sha256(find_export(model).path)
    assert reference["origin"]["model_sha256"] == pin
    # What a stopped calibration goes on with.
    assert [path.name for path in tmp_path.iterdir()] == ["quality.json"]


def test_thresholds_of_a_run_go_where_the_export_reads_them(data, tmp_path, monkeypatch):
    run = toy_run(tmp_path / "run", str(data), open_dataset(data).content_hash())
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda *arguments, **options: run)
    flags = (f"--workdir={run.path}", f"--data={data}", "--faults=none", "--fault_patients=2")
    result = run_program("calibrate", *flags)
    assert result.returncode == 0, result.stderr
    assert f"{run.path / 'quality.json'}: " in result.stdout
    quality = describe_run(run)["quality"]
    assert quality["origin"]["weights_sha256"] == run.weights_sha256
    assert quality["origin"]["model_sha256"] is None


def folder_of(path):
    """Describe a data folder as a config.json does."""
    dataset = open_dataset(path)
    return {
        "share": 0.5,
        "data_sha256": dataset.content_hash(),
        "split_sha256": dataset.split_hash(0),
        "sources": dataset.sources(),
    }


@pytest.mark.parametrize("is_stage", [False, True])
def test_patients_of_other_data_that_were_trained_on_are_left_out(
    data, other, tmp_path, monkeypatch, is_stage
):
    run = toy_run(tmp_path / "run", str(data), open_dataset(data).content_hash())
    file = run.path / "config.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    if is_stage:
        unknown = {"source": "before", "folders": []}
        record["folders"] = [folder_of(data)]
        record["stages"] = [
            {"source": "first", "fold": 0, "folders": [folder_of(other)]},
            unknown,
        ]
    else:
        record["folders"] = [folder_of(data), folder_of(other)]
    file.write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda *arguments, **options: run)
    flags = [f"--workdir={run.path}", f"--data={data}", f"--data={other}", "--fault_patients=2"]
    result = run_program("calibrate", *flags, "--faults=none")
    assert result.returncode == 0, result.stderr
    trained = len(open_dataset(other).split(0).training)
    line = f"{other}: {trained} of its 6 patients are left out: the model was trained on them"
    assert line in result.stderr
    (judged,) = describe_run(run)["quality"]["foreign"]
    assert (judged["patients"], judged["left_out"]) == (6 - trained, trained)
    assert judged["trained_on"] == (None if is_stage else 0)
    assert ("whether the model was trained on some of its patients" in result.stderr) == is_stage


def calibrate_with_again(folder, data, model, patients):
    """Judge the first data on other voxels, with further phantoms."""
    again = prepare(folder / "again", patients, seed=5, spacing_mm=3.9)
    flags = [f"--model={model}", f"--data={data}", f"--data={again}", "--faults=none"]
    output = f"--output={folder / 'quality.json'}"
    return again, run_program("calibrate", *flags, "--fault_patients=2", output)


def test_held_out_patients_on_other_voxels_are_left_out(data, model, tmp_path):
    again, result = calibrate_with_again(tmp_path, data, model, 17)
    assert result.returncode == 0, result.stderr
    held_out = 14 - len(open_dataset(data).split(0).training)
    line = f"{again}: {held_out} of its 17 patients are left out: they are held-out patients of "
    assert f"{line}{data}" in result.stderr
    (judged,) = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))["foreign"]
    assert (judged["patients"], judged["left_out"], judged["trained_on"]) == (3, 14, 0)


def test_the_same_patients_on_other_voxels_are_refused(data, model, tmp_path):
    again, result = calibrate_with_again(tmp_path, data, model, 14)
    assert result.returncode == 2 and not (tmp_path / "quality.json").exists()
    trained = len(open_dataset(data).split(0).training)
    line = f"error: {again}: the model was trained on {trained} of its 14 patients, and "
    assert result.stderr.startswith(f"{line}{14 - trained} are held-out patients of {data}, ")


NEITHER = "--workdir, --model: give a run or an exported model, one of the two"


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model={model}", "--workdir=RUN"], NEITHER),
        ([], NEITHER),
        (["--workdir=RUN", "--model_sha256=0"], "--model_sha256: is for --model; leave it out"),
        (["--model={model}", "--checkpoint=last"], "--checkpoint: an exported model has one;"),
        (["--model={model}", "--output="], "--output: missing; name a JSON file for the"),
        (["--model={model}", "--data={data}"], "{data}: its patients are those of {data}; give "),
        (["--model={model}", "--faults=upside"], "--faults=upside: must be one of none, gamma"),
    ],
)
def test_user_errors_are_one_line(data, model, tmp_path, flags, message):
    flags = [flag.format(model=model, data=data) for flag in flags]
    result = run_program("calibrate", f"--output={tmp_path / 'q.json'}", f"--data={data}", *flags)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {message.format(data=data)}")


def test_models_that_reconstruct_nothing_are_refused(data, model, tmp_path):
    config = TrainingConfig(data=str(data), size=SIZE, reconstruction="none")
    write_config(tmp_path / "run", config, open_dataset(data).content_hash())
    shutil.copytree(model, tmp_path / "export")
    file = find_export(tmp_path / "export").path / "assets.extra" / "metadata.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    metadata["networks"] = {"reconstruction": None}
    file.write_text(json.dumps(metadata), encoding="utf-8")
    for flag, words in (
        (f"--workdir={tmp_path / 'run'}", "reconstructs nothing"),
        (f"--model={tmp_path / 'export'}", "only segments CTs"),
    ):
        result = run_program("calibrate", flag, f"--data={data}", f"--output={tmp_path / 'q.json'}")
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert words in line
    assert not (tmp_path / "q.json").exists()


def test_folds_that_were_dealt_anew_are_refused(data, tmp_path):
    dataset = open_dataset(data)
    run = toy_run(tmp_path / "run", str(data))
    write_config(run.path, run.config, dataset.content_hash(), dataset.split_hash(1))
    flags = [f"--workdir={run.path}", f"--data={data}", f"--output={tmp_path / 'q.json'}"]
    result = run_program("calibrate", *flags)
    assert result.returncode == 2
    assert "not what the model was trained on, in these folds" in result.stderr


def test_other_data_is_refused(data, tmp_path):
    export_run(toy_run(tmp_path / "run", str(data)), tmp_path / "export")
    flags = [f"--model={tmp_path / 'export'}", f"--data={data}", f"--output={tmp_path / 'q.json'}"]
    result = run_program("calibrate", *flags)
    assert result.returncode == 2
    assert "not what the model was trained on" in result.stderr
    assert not (tmp_path / "q.json").exists()
