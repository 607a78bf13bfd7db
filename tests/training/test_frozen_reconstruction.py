"""Training of a segmentation on the reconstructions of a finished run, or on CTs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.training.toys import CONFIG, toy_dataset, toy_networks
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.losses import dice_loss, one_hot
from xctrs_tf.training import frozen_reconstruction as frozen
from xctrs_tf.training import loop
from xctrs_tf.training import run as runs
from xctrs_tf.training.prediction import predict_case, reconstruct_case


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Data folder, and a folder with a finished toy run for its reconstruction."""
    monkeypatch.setattr(loop, "build_networks", _toys)
    monkeypatch.setattr(runs, "build_networks", _toys)
    data = toy_dataset(tmp_path / "data")
    config = dataclasses.replace(CONFIG, data=str(data), dice_weight=0.0, rsc_weight=0.0)
    loop.train(config, tmp_path / "reconstruction")
    return data, tmp_path


def _toys(config):
    networks = toy_networks(config)
    if not config.has_own_reconstruction:
        del networks["reconstruction"]
    return networks


def _segmentation_config(data, folder):
    return dataclasses.replace(
        CONFIG, data=str(data), rsc_weight=0.0, reconstruction_run=str(folder / "reconstruction")
    )


def test_frozen_network_reconstructs_once_and_never_learns(finished, monkeypatch):
    data, folder = finished
    source = runs.load_run(folder / "reconstruction")
    loop.train(_segmentation_config(data, folder), folder / "first")

    def reconstructed_again(*_):
        raise AssertionError("a patient was reconstructed twice")

    monkeypatch.setattr(frozen, "reconstruct_case", reconstructed_again)
    loop.train(dataclasses.replace(_segmentation_config(data, folder), seed=1), folder / "second")
    run = runs.load_run(folder / "first")
    for ours, theirs in zip(
        run.reconstruction.get_weights(), source.reconstruction.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    # The loaded run does not need the folder of the reconstruction run.
    (folder / "reconstruction").rename(folder / "away")
    arrays = network_arrays(open_dataset(data).load("p0"))
    ct, labels = predict_case(runs.load_run(folder / "first"), "p0", arrays)
    assert ct.shape == labels.shape == (32, 32, 32)


def test_segmentation_learns_on_the_reconstructions(finished):
    """Compare the loss with that on the reconstruction and that on the true CT."""
    data, folder = finished
    loop.train(_segmentation_config(data, folder), folder / "run")
    run, dataset = runs.load_run(folder / "run"), open_dataset(data)
    losses = {"reconstruction": [], "ct": []}
    for patient in dataset.split(0).validation:
        arrays = network_arrays(dataset.load(patient))
        volumes = {
            "reconstruction": reconstruct_case(run, patient, arrays),
            "ct": arrays["ct"][..., 0],
        }
        y_true = one_hot(arrays["segmentation"][None], 8)
        for name, volume in volumes.items():
            loss = dice_loss(y_true, run.segmentation(volume[None, ..., None]))
            losses[name].append(float(loss))
    best = json.loads((folder / "run" / "best" / "state.json").read_text(encoding="utf-8"))[
        "validation"
    ]["dice"]
    assert best == pytest.approx(np.mean(losses["reconstruction"]), abs=1e-5)
    assert abs(best - np.mean(losses["ct"])) > 1e-4


def test_a_reconstruction_that_saw_the_held_out_patients_is_refused(finished):
    # It needs SimpleITK, which training does without.
    from tests.data.cases import deal_anew

    data, folder = finished
    config = _segmentation_config(data, folder)
    words = "was trained on other folds, and so on patients that this run holds out"
    with pytest.raises(UserError, match=words):
        loop.train(dataclasses.replace(config, fold=1), folder / "other-fold")
    deal_anew(data)
    with pytest.raises(UserError, match=words):
        loop.train(config, folder / "dealt-anew")


def test_a_run_goes_on_where_the_finished_reconstruction_was_moved(finished):
    data, folder = finished
    config = _segmentation_config(data, folder)
    loop.train(dataclasses.replace(config, steps=1), folder / "run")
    moved = (folder / "reconstruction").rename(folder / "moved")
    config = dataclasses.replace(config, reconstruction_run=str(moved), steps=2)
    loop.train(config, folder / "run")
    assert _record_of(folder / "run")["training"]["reconstruction_run"] == str(moved)
    joint = dataclasses.replace(config, reconstruction_run="")
    with pytest.raises(UserError, match=r"--reconstruction_run was .*moved and is "):
        loop.train(joint, folder / "run")


def _record_of(run):
    return json.loads((run / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("where", ["folders", "stages"])
def test_all_data_of_a_finished_run_count(finished, where):
    """Name our data, on another fold, as its second folder or as that of an earlier training."""
    data, folder = finished
    source = folder / "reconstruction"
    record = _record_of(source)
    ours = {**record["folders"][0], "split_sha256": open_dataset(data).split_hash(1)}
    other = {**ours, "data_sha256": "0" * 64}
    more = [other, ours] if where == "folders" else [{"source": "run", "folders": [ours]}]
    record |= {"data_sha256": "0" * 64, "folders": [other], where: more}
    (source / "config.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="was trained on other folds, and so on patients that"):
        loop.train(_segmentation_config(data, folder), folder / "run")


def test_first_weights_tell_the_training_of_the_reconstruction_below_them(finished):
    data, folder = finished
    other = toy_dataset(folder / "other", num_patients=6)
    loop.train(_segmentation_config(other, folder), folder / "below")
    config = dataclasses.replace(
        CONFIG, data=str(data), initial_weights=str(folder / "below"), steps=1
    )
    words = "--initial_weights: reconstruction_run was trained on another fold of the same data"
    with pytest.raises(UserError, match=words):
        loop.train(dataclasses.replace(config, fold=1), folder / "run")
    frozen = {"freeze": "reconstruction", "film_normalization": "equalized"}
    with pytest.raises(UserError, match=r"reconstruction_run of .* with percentile, and is frozen"):
        loop.train(dataclasses.replace(config, **frozen), folder / "run")
    loop.train(config, folder / "run")
    stages = _record_of(folder / "run")["stages"]
    assert [stage["networks"] for stage in stages] == [["spadrnet"], ["mulsisnet"]]
    hashes = [open_dataset(each).content_hash() for each in (data, other)]
    assert [stage["folders"][0]["data_sha256"] for stage in stages] == hashes


def test_a_start_with_the_wrong_flag_can_be_mended_in_the_same_folder(finished):
    data, folder = finished
    config = _segmentation_config(data, folder)
    with pytest.raises(UserError, match="--film_normalization=equalized: give percentile"):
        loop.train(dataclasses.replace(config, film_normalization="equalized"), folder / "run")
    loop.train(dataclasses.replace(config, steps=1), folder / "run")
    assert _record_of(folder / "run")["training"]["film_normalization"] == "percentile"


def test_a_run_goes_on_with_its_copy_when_the_finished_run_is_gone(finished, caplog):
    data, folder = finished
    whole, halves = folder / "whole", folder / "halves"
    config = _segmentation_config(data, folder)
    loop.train(config, whole)
    loop.train(dataclasses.replace(config, steps=3), halves)
    shutil.rmtree(folder / "reconstruction")
    loop.train(config, halves)
    assert f"{folder / 'reconstruction'}: gone; its copy in {halves} is used" in caplog.text
    ours, theirs = (
        runs.load_run(run, "last").segmentation.get_weights() for run in (halves, whole)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(UserError, match="no finished run"):
        loop.train(config, folder / "new")


def test_a_reconstruction_run_trained_further_is_refused(finished):
    data, folder = finished
    loop.train(_segmentation_config(data, folder), folder / "run")
    state = folder / "reconstruction" / "best" / "state.json"
    state.write_text(state.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(UserError, match=r"was trained further after .*run began; name another"):
        loop.train(_segmentation_config(data, folder), folder / "run")


def test_films_are_normalised_as_the_finished_run_did(finished):
    data, folder = finished
    config = dataclasses.replace(_segmentation_config(data, folder), film_normalization="equalized")
    with pytest.raises(UserError, match="--film_normalization=equalized: give percentile, with"):
        loop.train(config, folder / "run")


def test_another_width_than_that_of_the_finished_run_is_refused(finished):
    data, folder = finished
    config = dataclasses.replace(_segmentation_config(data, folder), width=0.5)
    with pytest.raises(
        UserError, match=r"--width=0\.5: give 1\.0, with which .*reconstruction was"
    ):
        loop.train(config, folder / "run")


@pytest.mark.parametrize("name", ["sit", "none"])
def test_another_network_than_that_of_the_finished_run_is_refused(finished, name):
    data, folder = finished
    config = dataclasses.replace(_segmentation_config(data, folder), reconstruction=name)
    with pytest.raises(UserError, match=f"--reconstruction={name}: .* has spadrnet, which is used"):
        loop.train(config, folder / "run")


def test_a_folder_without_a_finished_run_is_refused(finished):
    data, folder = finished
    config = dataclasses.replace(_segmentation_config(data, folder), reconstruction_run="nowhere")
    with pytest.raises(UserError, match="--reconstruction_run=nowhere: no finished run"):
        loop.train(config, folder / "run")


def test_segmentation_alone_learns_on_the_patients_own_cts(finished):
    data, folder = finished
    config = dataclasses.replace(CONFIG, data=str(data), reconstruction="none", rsc_weight=0.0)
    loop.train(config, folder / "run")
    run = runs.load_run(folder / "run")
    assert run.reconstruction is None
    arrays = network_arrays(open_dataset(data).load("p0"))
    ct, labels = predict_case(run, "p0", arrays)
    assert ct is None
    expected = np.argmax(run.segmentation(arrays["ct"][None])[0], axis=-1)
    np.testing.assert_array_equal(labels, expected)
