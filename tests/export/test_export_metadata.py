"""Metadata of exported models."""

import dataclasses
import json

import pytest

from tests.data.cases import deal_anew, edit_manifest, write_dataset
from tests.export.runs import (
    DATA_SHA256,
    read_metadata,
    tensors,
    toy_run,
    without_warmup,
    write_config,
)
from tests.quality.references import plain_reference
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.export.metadata import describe_run
from xctrs_tf.export.model_card import model_card
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.training.config import TrainingConfig


def test_metadata(tmp_path):
    metadata = read_metadata(export_run(toy_run(tmp_path / "run"), tmp_path / "models"))
    signature = metadata["signatures"]["serving_default"]
    described = tensors(signature)
    assert described == {
        "ap": (["batch", "x", "z", "channel"], [None, 32, 32, 1], "float32"),
        "la": (["batch", "y", "z", "channel"], [None, 32, 32, 1], "float32"),
        "ct": (["batch", "x", "y", "z", "channel"], [None, 32, 32, 32, 1], "float32"),
        "segmentation": (["batch", "x", "y", "z", "class"], [None, 32, 32, 32, 8], "float32"),
    }
    answers = tensors(metadata["signatures"]["serving_bytes"])
    axes, (batch, told), dtype = answers.pop("metadata_json")
    assert (axes, batch, dtype) == (["batch", "byte"], None, "uint8") and 1000 < told < 10_000
    assert answers == {
        "ap_bytes": (["batch"], [None], "string"),
        "la_bytes": (["batch"], [None], "string"),
        "ct_hu": (["batch", "x", "y", "z"], [None, 32, 32, 32], "int16"),
        "segmentation": (["batch", "x", "y", "z"], [None, 32, 32, 32], "uint8"),
    }
    expected = {
        "format": "xctrs-export/2",
        "notice": "Not a medical device; not for diagnosis.",
        "size": 32,
        "spacing_mm": None,
        "window_hu": [-1000.0, 1500.0],
        "classes": ["background", "C1", "C2", "C3", "C4", "C5", "C6", "C7"],
        "step": 7,
        "data_sha256": DATA_SHA256,
        "data": None,
        "metrics": None,
        "quality": None,
    }
    assert {key: metadata[key] for key in expected} == expected
    assert metadata["training"]["rsc_weight"] == 0.0
    assert {"python", "keras", "xctrs-tf"} <= metadata["versions"].keys()


def test_voxel_size_is_the_median_of_the_runs_data(tmp_path, caplog):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)

    def space(manifest):
        for patient, spacing_mm in zip(manifest["patients"], (9.0, 2.0, 2.5), strict=True):
            patient["spacing_mm"] = spacing_mm

    edit_manifest(data, space)
    sha256 = open_dataset(data).content_hash()

    def spacing_mm(sha256):
        run = toy_run(tmp_path / "run", data=str(data), data_sha256=sha256)
        return read_metadata(export_run(run, tmp_path / "models"))["spacing_mm"]

    assert spacing_mm(sha256) == 2.5
    assert not without_warmup(caplog.messages)
    assert spacing_mm("e" * 64) is None
    assert "no longer the run's data" in without_warmup(caplog.messages)[0]


def test_data_that_were_dealt_anew_are_not_described(tmp_path, caplog):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)
    dataset = open_dataset(data)
    run = toy_run(tmp_path / "run", data=str(data))
    write_config(run.path, run.config, dataset.content_hash(), dataset.split_hash(0))
    metadata = describe_run(run)
    assert metadata["data"]["patients"]["test"] == 1
    assert metadata["folders"][0]["split_sha256"] == dataset.split_hash(0)
    deal_anew(data)
    assert describe_run(run)["data"] is None
    assert "no longer the run's data" in caplog.messages[-1]


def test_data_are_described_without_machine_paths(tmp_path):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)

    def tell_sources(manifest):
        for patient, source in zip(manifest["patients"], ("a", "b", "a"), strict=True):
            patient |= {"source": source, "licence": "MIT"}

    edit_manifest(data, tell_sources)
    run = toy_run(tmp_path / "run", data=str(data), data_sha256=open_dataset(data).content_hash())
    config = dataclasses.replace(run.config, vgg_weights=str(tmp_path / "vgg.h5"))
    folder = export_run(dataclasses.replace(run, config=config), tmp_path / "models")
    metadata = read_metadata(folder)
    assert metadata["data"]["sources"] == [
        {"source": "a", "licence": "MIT", "patients": 2},
        {"source": "b", "licence": "MIT", "patients": 1},
    ]
    assert metadata["data"]["patients"] == {"training": 1, "validation": 1, "test": 1}
    assert metadata["training"]["vgg_weights"] == "vgg.h5"
    assert str(tmp_path) not in json.dumps(metadata)
    # The server returns the voxel size.
    assert set(find_export(folder).load_signatures()["serving_bytes"].structured_outputs) == {
        "ct_hu",
        "metadata_json",
        "segmentation",
        "spacing_mm",
    }


def test_labels_that_a_network_made_are_in_metadata_and_card(tmp_path):
    data = write_dataset(tmp_path / "data", num_patients=3, num_folds=3)
    made = {"made_by": "model", "name": "NET", "weights_sha256": "ab"}

    def label(manifest):
        manifest |= {"labels": {"made_by": "model", "model": {}}, "label_name": "model-made Dice"}
        manifest["patients"] = [{**patient, "labels": made} for patient in manifest["patients"]]

    edit_manifest(data, label)
    sha256 = open_dataset(data).content_hash()
    run = toy_run(tmp_path / "run", data=str(data), data_sha256=sha256)
    write_evaluation(run.path / "evaluation", data_sha256=sha256, labelled="model-made Dice")
    metadata = describe_run(run)
    assert metadata["data"]["label_name"] == "model-made Dice"
    assert metadata["data"]["sources"][0]["labels"] == "model-made by NET"
    assert metadata["metrics"]["dice_name"] == "model-made Dice"
    assert metadata["metrics"]["means"] == {"psnr": 21.0, "dice_C1": 0.5}
    card = model_card(metadata)
    assert "| source test (labels model-made by NET) | 3 patients" in card
    assert "`dice` is the model-made Dice:" in card
    sources = metadata["data"]["sources"]
    stage = {"source": "first", "networks": [], "steps": 1, "folders": [folder_of(sources)]}
    assert "patients (test (labels model-made by NET))" in model_card(
        {**metadata, "stages": [stage]}
    )


def test_the_card_names_every_further_data_folder(tmp_path):
    metadata = describe_run(toy_run(tmp_path / "run"))
    further = folder_of([{"source": "second", "licence": "MIT", "patients": 5}])
    folders = [folder_of([{"source": "first", "licence": "none", "patients": 3}]), further]
    row = "| data 2 | 3 patients (second, MIT), hash ab |"
    card = model_card({**metadata, "data": {"sources": []}, "folders": folders})
    assert row in card and "| data 1 |" not in card
    # Nothing else tells the data where its folder is gone.
    card = model_card({**metadata, "data": None, "folders": folders})
    assert row in card and "| data 1 | 3 patients (first, none), hash ab |" in card


def folder_of(sources):
    return {"sources": sources, "training_patients": 3, "data_sha256": "ab"}


def write_evaluation(
    path, step=7, rows="p1,20.0,0.5\np2,22.0,\n", data_sha256=DATA_SHA256, labelled=None
):
    path.mkdir(parents=True)
    heading = "id,psnr,dice_C1"
    if labelled:
        heading += ",labels"
        rows = rows.replace("\n", ",model-made\n")
    (path / "cases.csv").write_text(f"{heading}\n{rows}", encoding="utf-8")
    origin = {"step": step, "data_hash": data_sha256, "split": "test"}
    origin |= {"dice_name": labelled or "Dice"}
    origin |= {"commit": "c0", "date": "2026-01-01", "command": "python --workdir=/somewhere"}
    (path / "cases.json").write_text(json.dumps(origin), encoding="utf-8")


def test_metrics_and_quality_belong_to_the_exported_weights(tmp_path, caplog):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation")
    (run.path / "quality.json").write_text(json.dumps(plain_reference()), encoding="utf-8")
    metadata = describe_run(run)
    assert metadata["metrics"]["means"] == {"psnr": 21.0, "dice_C1": 0.5}
    assert (metadata["metrics"]["patients"], metadata["metrics"]["split"]) == (2, "test")
    assert "/somewhere" not in json.dumps(metadata)
    assert metadata["quality"] == plain_reference()
    caplog.clear()
    assert describe_run(dataclasses.replace(run, step=8))["metrics"] is None
    assert "of other weights or data" in caplog.messages[-1]


@pytest.mark.parametrize(
    "change",
    [
        {"split": "training"},
        {"split": "all"},
        {"fold": 3},
        {"mirror": True},
        {"weights_sha256": "f" * 64},
    ],
)
def test_figures_of_other_patients_or_of_more_than_the_model_are_left_out(tmp_path, change, caplog):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation")
    file = run.path / "evaluation" / "cases.json"
    origin = json.loads(file.read_text(encoding="utf-8"))
    told = {"fold": 0, "mirror": False, "weights_sha256": run.weights_sha256}
    file.write_text(json.dumps({**origin, **told}), encoding="utf-8")
    assert describe_run(run)["metrics"]["patients"] == 2
    file.write_text(json.dumps({**origin, **change}), encoding="utf-8")
    assert describe_run(run)["metrics"] is None
    assert "not of the run's own test patients" in caplog.messages[-1]


@pytest.mark.parametrize("told", [{}, {"trained_on": 0}, {"trained_on": None}])
def test_that_the_training_patients_are_not_known_is_in_metadata_and_card(tmp_path, told):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation")
    file = run.path / "evaluation" / "cases.json"
    origin = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**origin, **told}), encoding="utf-8")
    metadata = describe_run(run)
    found = {key: value for key, value in metadata["metrics"].items() if key == "trained_on"}
    assert found == told
    sentence = "Whether some of these patients were trained on is not known."
    assert (sentence in model_card(metadata)) == (told == {"trained_on": None})


@pytest.mark.parametrize("told", [{}, {"trained_on": 0}, {"trained_on": None}])
def test_a_card_tells_where_the_patients_of_other_data_may_have_been_trained_on(tmp_path, told):
    reference = plain_reference()
    other = {"sources": [{"source": "phantom"}], "patients": 4, **told}
    reference["foreign"] = [{**other, "detection": reference["detection"]}]
    card = model_card({**describe_run(toy_run(tmp_path / "run")), "quality": reference})
    seen = "; whether the model was trained on some of them is not known"
    words = f"(phantom, 4 patients{seen if told == {'trained_on': None} else ''}), judged"
    assert words in card


@pytest.mark.parametrize("rows", ["", "p1,none,0.5\n"])
def test_a_damaged_evaluation(tmp_path, rows):
    run = toy_run(tmp_path / "run")
    write_evaluation(run.path / "evaluation", rows=rows)
    with pytest.raises(UserError, match=r"cases.csv: damaged; run experiments.evaluate again"):
        describe_run(run)


def test_damaged_thresholds(tmp_path):
    run = toy_run(tmp_path / "run")
    (run.path / "quality.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"quality.json: damaged; run experiments.calibrate again"):
        describe_run(run)


def test_a_voxel_size_that_cannot_be_is_not_exported(tmp_path, monkeypatch):
    known = describe_run(toy_run(tmp_path / "run")) | {"spacing_mm": 0.0025}
    monkeypatch.setattr("xctrs_tf.export.saved_model.describe_run", lambda run: known)
    with pytest.raises(UserError, match=r"run: spacing_mm=0\.0025: 32 voxels of it are 0\.08 mm"):
        export_run(toy_run(tmp_path / "run"), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_card_has_training_figures_and_rates_with_intervals(tmp_path):
    run = toy_run(tmp_path / "run")
    quality = plain_reference()
    quality["detection"]["la mirrored"] = quality["detection"]["none"] | {
        "detected": 0.875,
        "interval": [0.53, 0.98],
        "psnr_loss_db": 3.21,
        "named": 1.0,
    }
    (run.path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    version = export_run(run, tmp_path / "models")
    card = (version / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Not a medical device; not for diagnosis." in card
    assert "an unknown number of patients" not in card and "trained on 9 patients" in card
    assert "| la mirrored | 0.88 | 0.53 to 0.98 | 1.00 | 0.00 | 0.00 | 3.21 | 1.00 |" in card
    assert "0.00 (95 % interval 0.00 to 0.30)" in card
    assert "run experiments.evaluate" in card


def test_quality_of_other_weights_is_not_exported(tmp_path, caplog):
    run = toy_run(tmp_path / "run")
    quality = plain_reference()
    quality["origin"] = {**quality.get("origin", {}), "weights_sha256": run.weights_sha256}
    (run.path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    assert describe_run(run)["quality"] == quality
    quality["origin"]["weights_sha256"] = "f" * 64
    (run.path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    assert describe_run(run)["quality"] is None
    assert "quality.json: of other weights: the export has no quality checks" in caplog.messages[-1]
    # experiments.calibrate --model writes so.
    quality["origin"] |= {"weights_sha256": None, "model_sha256": "f" * 64}
    (run.path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    assert describe_run(run)["quality"] is None
    assert "quality.json: of an exported model: the export has no quality" in caplog.messages[-1]
    assert f"run experiments.calibrate --workdir={run.path}" in caplog.messages[-1]


def test_quality_of_otherwise_normalised_films_is_refused(tmp_path):
    run = toy_run(tmp_path / "run")
    quality = plain_reference() | {"film_normalization": "equalized"}
    (run.path / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    with pytest.raises(UserError, match="quality is of equalized films, and the model takes perc"):
        export_run(run, tmp_path / "models")


def test_a_model_on_a_finished_reconstruction_tells_its_network_and_data(tmp_path):
    run = toy_run(tmp_path / "run", reconstruction_run="FIRST", segmentation="unet3d")
    frozen = tmp_path / "run" / "reconstruction_run"
    write_config(frozen, TrainingConfig(data="absent", size=32, reconstruction="x2ctgan"), "f" * 64)
    (frozen / "best").mkdir()
    (frozen / "best" / "reconstruction.weights.h5").touch()
    (frozen / "best" / "state.json").write_text('{"step": 5}', encoding="utf-8")
    metadata = describe_run(run)
    assert metadata["networks"] == {"reconstruction": "spadrnet", "segmentation": "mulsisnet"}
    (stage,) = metadata["stages"]
    assert (stage["steps"], stage["source"]) == (5, "reconstruction_run")
    assert "x2ctgan" in stage["networks"]
    assert "| networks | spadrnet, mulsisnet |" in model_card(metadata)
    # As with first weights of a run on the same reconstruction.
    config = tmp_path / "run" / "config.json"
    record = json.loads(config.read_text(encoding="utf-8")) | {"stages": [stage]}
    config.write_text(json.dumps(record), encoding="utf-8")
    assert describe_run(run)["stages"] == [stage]
