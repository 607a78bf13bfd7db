"""Takeover of jobs from a handover, and its refusals."""

import dataclasses
import json

import pytest

from tests.cross_validation.fake_runs import DATA_SHA256, DONE, fake_run, files, write
from tests.cross_validation.handovers import DSN, VGG, describe, hand_over, index_of
from tests.data.cases import deal_anew, write_dataset
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.errors import UserError
from xctrs_tf.training.run_record import read_config
from xctrs_tf.training.trained_data import describe_data

pytestmark = pytest.mark.usefixtures("data_here")


@pytest.mark.parametrize(
    ("ours", "theirs", "taken"),
    [
        (None, ([5], None), True),
        (([4], None), ([5], None), True),
        (([5], None), ([5], None), False),
        (([6], None), ([5], None), False),
        (([6], {"status": "failed", "error": "x"}), ([7], None), True),
        (([90], None), ([5], DONE), True),
        (([5], DONE), ([90], None), False),
        (([5], DONE), ([5], DONE), False),
        (([], None), ([5], None), True),
    ],
)
def test_the_run_that_is_further_is_kept(tmp_path, ours, theirs, taken):
    there, here = tmp_path / "there", tmp_path / "here"
    fake_run(there, VGG, *theirs)
    if ours is not None:
        fake_run(here, VGG, *ours)
        write(here / VGG / "ours", "")
    hand_over(tmp_path / "handover", there)
    hand_over(tmp_path / "handover", here)
    assert (here / VGG / "ours").exists() == (not taken)
    state = Job(here, "table1-vgg", 0, 0, ()).state()
    states = {"done" if run and run[1] == DONE else "begun" for run in (ours, theirs)}
    assert state == ("done" if "done" in states else "begun")
    # What is further is in the handover of this machine, too.
    (job,) = index_of(tmp_path / "handover")["jobs"].values()
    assert job["state"] == state
    # TensorBoard's files of a run that is replaced stay.
    assert (here / VGG / "logs" / "events").exists() == (ours is not None)


def test_runs_get_the_paths_of_this_machine(there, tmp_path):
    hand_over(tmp_path / "handover", there)
    root = tmp_path / "here" / "runs"
    hand_over(tmp_path / "handover", root)
    assert {read_config(root / job).data for job in (VGG, DSN)} == {"/here/data"}
    needed = Job(root, "table3-dsn", 0, 0, ()).needs.folder
    assert read_config(root / DSN).reconstruction_run == str(needed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.5}, "--learning_rate is 0.001 there and 0.5 here"),
        ({"seed": 3}, "--seed is 0 there and 3 here"),
        ({"steps": 20000}, "--steps is 90 there and 20000 here"),
        ({"patience": 2}, "--patience is 0 there and 2 here"),
        ({"vgg_weights": "random"}, "--vgg_weights is imagenet there and random here"),
        ({"initial_weights": "/a/A, B"}, "--initial_weights is  there and A,B here"),
    ],
)
def test_another_run_of_the_same_name_is_refused(there, tmp_path, change, message):
    hand_over(tmp_path / "handover", there)
    here = tmp_path / "here"
    fake_run(here, VGG, [80], dice_weight=0.0, rsc_weight=0.0, **change)
    before, handed = files(here), files(tmp_path / "handover")
    with pytest.raises(UserError, match=f"{VGG} is not the one in --workdir .{message}"):
        hand_over(tmp_path / "handover", here)
    assert (files(here), files(tmp_path / "handover")) == (before, handed)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"data_sha256": "e" * 64}, "the data differs"),
        ({"vgg_weights_sha256": "b" * 64}, "the files of VGG16 weights differ"),
        ({"folders": [{}, {"data_sha256": "e" * 64, "share": 0.4}]}, "the further data or their"),
    ],
)
def test_a_run_of_other_inputs_is_refused(tmp_path, inputs, message):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    told = {"vgg_weights_sha256": "a" * 64}
    told["folders"] = [{}, {"data_sha256": "e" * 64, "share": 0.3}]
    describe(fake_run(there, VGG, [80]), **told)
    hand_over(handover, there)
    run = fake_run(here, VGG, [70])
    describe(run, **told | inputs)
    with pytest.raises(UserError, match=message):
        hand_over(handover, here)
    # An index of an earlier version does not tell.
    index = index_of(handover)
    for name in ("further_data", "vgg_weights_sha256"):
        del index["jobs"][VGG][name]
    write(handover / "index.json", json.dumps(index))
    describe(run, data_sha256=DATA_SHA256)
    hand_over(handover, here)


FOLD = VGG.partition("/")[2]


_STAGE = {"source": FOLD, "networks": ["spadrnet"], "steps": 50}


def test_first_weights_in_folders_of_one_name_are_compared(tmp_path):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    run = fake_run(there, VGG, [80], initial_weights=f"/r/a/{VGG}")
    describe(run, stages=[_STAGE])
    hand_over(handover, there)
    other = fake_run(tmp_path / "other", VGG, [70], initial_weights="/b/table1-spadrnet/" + FOLD)
    describe(other, stages=[_STAGE])
    with pytest.raises(UserError, match=f"is {VGG} there and table1-spadrnet/{FOLD} here"):
        hand_over(handover, tmp_path / "other")
    run = fake_run(here, VGG, [70], initial_weights=f"/r/b/{VGG}")
    describe(run, stages=[_STAGE])
    hand_over(handover, here)
    assert (run / "checkpoints" / "step-00000080").exists()
    describe(run, stages=[_STAGE | {"steps": 60}])
    with pytest.raises(UserError, match="the trainings of --initial_weights differ"):
        hand_over(handover, here)
    # An index of an earlier version does not tell.
    index = index_of(handover)
    index["jobs"][VGG].pop("stages", None)
    write(handover / "index.json", json.dumps(index))
    hand_over(handover, here)


def test_a_run_that_cannot_be_compared_is_kept(there, tmp_path):
    hand_over(tmp_path / "handover", there)
    run = fake_run(tmp_path / "here", VGG, [5])
    write(run / "config.json", "{}")
    with pytest.raises(UserError, match=f"{VGG}/config.json is not a run's configuration"):
        hand_over(tmp_path / "handover", tmp_path / "here")


def test_files_may_lie_elsewhere_and_the_same_update_be_computed_otherwise(tmp_path):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    files_there = {"initial_weights": "/there/A, neck64", "vgg_weights": "/there/vgg.h5"}
    run = fake_run(there, VGG, [80], **files_there)
    describe(run, vgg_weights_sha256="a" * 64)
    hand_over(handover, there)
    same = {"initial_weights": "/here/A,neck64", "remat": True, "checkpoint_every": 9}
    run = fake_run(here, VGG, [70], vgg_weights="/here/vgg.h5", **same)
    describe(run, vgg_weights_sha256="a" * 64)
    hand_over(handover, here)
    assert (run / "checkpoints" / "step-00000080").exists()


def test_vgg_weights_of_a_run_without_their_loss_are_no_difference(tmp_path):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    fake_run(there, VGG, [80], vgg_weight=0.0)
    hand_over(handover, there)
    run = fake_run(here, VGG, [70], vgg_weight=0.0, vgg_weights="random")
    hand_over(handover, here)
    assert (run / "checkpoints" / "step-00000080").exists()


def test_other_data_than_those_of_the_jobs_are_refused_before_anything_is_written(tmp_path):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    first = write_dataset(tmp_path / "first")
    second = write_dataset(tmp_path / "second", num_patients=5)
    mixed = f"{first}:0.7,{second}:0.3"
    folders = describe_data(mixed, 0)
    describe(
        fake_run(there, VGG, [30], DONE), data_sha256=folders[0]["data_sha256"], folders=folders
    )
    hand_over(handover, there)
    before = files(handover)
    told = rf"{VGG} in --handover=.* was trained otherwise \(the "
    for data, differing in ((second, "data differs"), (first, "further data or their shares")):
        with pytest.raises(UserError, match=f"^--data={data}: {told}{differing}"):
            hand_over(handover, here, data)
    assert not here.exists() and files(handover) == before
    hand_over(handover, here, mixed)
    assert read_config(here / VGG).data == mixed
    deal_anew(first)
    # A job that is not behind keeps its path, and is checked with the others that are done.
    hand_over(handover, here, mixed)
    with pytest.raises(UserError, match=f"{told}patients are dealt to other folds"):
        hand_over(handover, tmp_path / "third", mixed)


def test_patients_that_were_dealt_anew_are_refused(tmp_path):
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    fields = {"dice_weight": 0.0, "rsc_weight": 0.0}
    fake_run(there, VGG, [80], split_sha256="a" * 64, **fields)
    hand_over(handover, there)
    fake_run(here, VGG, [80], split_sha256="b" * 64, **fields)
    with pytest.raises(UserError, match="the patients are dealt to other folds"):
        hand_over(handover, here)
    # A run of an earlier version does not tell.
    fake_run(tmp_path / "earlier", VGG, [80], **fields)
    hand_over(handover, tmp_path / "earlier")


@pytest.mark.parametrize(
    "damage",
    [
        {"jobs": None},
        {"copies": {f"{VGG}/../../../x": f"{VGG}/config.json"}},
        {"copies": {f"{VGG}/x": "/etc/passwd"}},
    ],
)
def test_a_damaged_index_is_refused(there, tmp_path, damage):
    hand_over(tmp_path / "handover", there)
    _assert_damaged({**index_of(tmp_path / "handover"), **damage}, tmp_path, "")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("../../x", {}),
        (f"{VGG}/x", {}),
        (VGG, {"state": "new"}),
        (VGG, {"step": "5"}),
        (VGG, {"training": []}),
    ],
)
def test_an_index_with_one_damaged_job_is_refused(there, tmp_path, name, change):
    hand_over(tmp_path / "handover", there)
    index = index_of(tmp_path / "handover")
    index["jobs"][name] = {**index["jobs"][VGG], **change}
    _assert_damaged(index, tmp_path, f"job {name}")


def _assert_damaged(index, folder, reason):
    """Write an index to the handover in a folder; assert that nothing is taken over."""
    path = folder / "handover" / "index.json"
    write(path, json.dumps(index))
    before = files(folder)
    told = rf"index.json: damaged \({reason}.*copy the whole folder again"
    with pytest.raises(UserError, match=told):
        hand_over(folder / "handover", folder / "here")
    assert files(folder) == before and index_of(folder / "handover") == index
    assert not (folder / "here").exists()


def test_a_run_of_another_machine_is_claimed_with_the_paths_of_this_one(tmp_path):
    """Take over a run of Table 3, and start it as `experiments.train` does."""
    from tests.training.toys import toy_dataset
    from xctrs_tf.data.dataset.mixture import open_parts
    from xctrs_tf.training.frozen_reconstruction import copy_finished_run
    from xctrs_tf.training.run_folder import claim_workdir

    data = toy_dataset(tmp_path / "data")
    parts = open_parts(str(data), 0)
    there, here = tmp_path / "there", tmp_path / "here"
    fields = {"size": 32, "fold": 0}
    fake_run(there, VGG, [30], DONE, dice_weight=0.0, rsc_weight=0.0, **fields)
    dsn = fake_run(there, DSN, [10], reconstruction_run=str(there / VGG), rsc_weight=0.0, **fields)
    for job in (VGG, DSN):
        config = there / job / "config.json"
        text = config.read_text("utf-8")
        write(config, text.replace(DATA_SHA256, parts[0].dataset.content_hash()))
    hand_over(tmp_path / "handover", there)
    hand_over(tmp_path / "handover", here, data)
    config = dataclasses.replace(
        read_config(dsn), data=str(data), reconstruction_run=str(here / VGG)
    )
    claim_workdir(here / DSN, config, parts)
    copy_finished_run(config.reconstruction_run, here / DSN)
    assert read_config(here / DSN).reconstruction_run == str(here / VGG)
