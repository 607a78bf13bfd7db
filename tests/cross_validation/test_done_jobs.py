"""Jobs that are done count as done for the data and VGG16 weights that they were done with."""

import json
import shutil

import pytest

from tests.cross_validation.fake_runs import DONE, fake_run
from tests.data.cases import deal_anew, write_dataset
from xctrs_tf.cross_validation.done_jobs import require_same_inputs
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.errors import UserError
from xctrs_tf.training.trained_data import describe_folders, file_sha256

NAMED = "table1-vgg fold 0 seed 0 in --workdir was done"


@pytest.fixture
def folders(tmp_path):
    """Data folders: two of other patients, and the first one under another path."""
    first = write_dataset(tmp_path / "first")
    second = write_dataset(tmp_path / "second", num_patients=5)
    return {"first": first, "second": second, "moved": shutil.copytree(first, tmp_path / "moved")}


def done_job(root, data, told=True, **fields):
    """Return a job that was done with these data; ``told`` as by this version."""
    job = Job(root, "table1-vgg", 0, 0, ())
    folder = fake_run(root, "table1-vgg/fold-00-seed-0", record=DONE, **fields)
    parts = open_parts(str(data), 0)
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    record["data_sha256"] = parts[0].dataset.content_hash()
    if told:
        record["folders"] = describe_folders(parts, 0)
        record["vgg_weights_sha256"] = file_sha256(record["training"]["vgg_weights"])
    (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")
    return job


def require(job, data, vgg_weights="imagenet"):
    require_same_inputs([job], str(data), str(vgg_weights))


@pytest.mark.parametrize("told", [True, False])
def test_other_data_are_refused_and_moved_ones_are_not(tmp_path, folders, told):
    job = done_job(tmp_path / "runs", folders["first"], told)
    require(job, folders["first"])
    require(job, folders["moved"])
    with pytest.raises(UserError, match=rf"^--data=.*second: {NAMED} with other data; give those"):
        require(job, folders["second"])


def test_patients_that_were_dealt_anew_are_refused_where_it_is_known(tmp_path, folders):
    job = done_job(tmp_path / "runs", folders["first"])
    old = done_job(tmp_path / "old", folders["first"], told=False)
    deal_anew(folders["moved"])
    with pytest.raises(UserError, match=rf"{NAMED} with the patients dealt to other folds; give"):
        require(job, folders["moved"])
    require(old, folders["moved"])


def test_further_folders_and_their_shares_are_compared(tmp_path, folders):
    mixed = "{first}:{0},{second}:{1}".format
    job = done_job(tmp_path / "runs", mixed(0.7, 0.3, **folders))
    require(job, mixed(0.7, 0.3, **folders))
    told = rf"{NAMED} with other further data or other shares of them; give those data"
    for other in (mixed(0.6, 0.4, **folders), folders["first"]):
        with pytest.raises(UserError, match=told):
            require(job, other)


def test_random_vgg_weights_are_others(tmp_path, folders):
    data = folders["first"]
    job = done_job(tmp_path / "runs", data, vgg_weights="random")
    require(job, data, "random")
    with pytest.raises(UserError, match=rf"^--vgg_weights=imagenet: {NAMED} with --vgg_weights=r"):
        require(job, data, "imagenet")
    trained = done_job(tmp_path / "trained", data)
    with pytest.raises(UserError, match=rf"^--vgg_weights=random: {NAMED} with --vgg_weights=im"):
        require(trained, data, "random")
    # A run without the loss has no use for them.
    require(done_job(tmp_path / "without", data, vgg_weight=0.0), data, "random")


def test_a_file_of_vgg_weights_is_compared_where_both_are_known(tmp_path, folders):
    data, file = folders["first"], tmp_path / "vgg.h5"
    file.write_text("VGG16", encoding="utf-8")
    job = done_job(tmp_path / "runs", data, vgg_weights=str(file))
    moved = file.rename(tmp_path / "moved.h5")
    require(job, data, moved)
    # It may be that of Keras.
    require(job, data, "imagenet")
    moved.write_text("another", encoding="utf-8")
    with pytest.raises(UserError, match=rf"moved.h5: {NAMED} with another file of VGG16 weights"):
        require(job, data, moved)
    require(done_job(tmp_path / "old", data, told=False, vgg_weights="/gone.h5"), data, moved)


def test_a_job_that_is_not_done_is_left_to_its_training(tmp_path, folders):
    job = done_job(tmp_path / "runs", folders["first"])
    job.record.unlink()
    require(job, folders["second"])


def test_a_damaged_run_folder_is_one_line(tmp_path, folders):
    job = done_job(tmp_path / "runs", folders["first"])
    config = job.folder / "config.json"
    record = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**record, "folders": [{}, 3]}), encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is not a run's configuration"):
        require(job, folders["first"])
