import json
import shutil

import keras
import numpy as np
import pytest

from tests.experiments.segment.segmented_data import SEGMENTING, write_boxes, write_segmenting_run
from xctrs_tf.ct_segmentation import segmentation_network
from xctrs_tf.ct_segmentation.segmentation_network import SegmentationNetwork, load_network
from xctrs_tf.errors import UserError
from xctrs_tf.models import MulSISNet
from xctrs_tf.models.weights import save_weights
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.reconstruction.export_files import (
    CHECKSUMS,
    CLASSES,
    EXPORT_FORMAT,
    METADATA,
    write_checksums,
)
from xctrs_tf.training import checkpoints

SIZE = 32
NETWORK = {"size": SIZE, "width": 0.125}
DESCRIPTION = {
    "format": EXPORT_FORMAT,
    "frame": "LPS",
    "size": SIZE,
    "spacing_mm": 2.5,
    "window_hu": [-1000.0, 1500.0],
    "classes": CLASSES,
    "training": {"segmentation": "mulsisnet", "width": 0.125, "fold": 4},
    "folders": [{"data_sha256": "d" * 64}],
    "data_sha256": "d" * 64,
    "step": 30,
    "quality": None,
}


@pytest.fixture(scope="module")
def network():
    return MulSISNet(**NETWORK)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Folder of an exported model of the network's weights. Tests must not change it."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    (folder / METADATA).parent.mkdir(parents=True)
    save_weights(folder / EXPORTED_WEIGHTS, [network])
    (folder / METADATA).write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    return folder


def described(exported, folder, **changes):
    """Copy the exported model and change its metadata; return the folder."""
    shutil.copytree(exported, folder)
    (folder / METADATA).write_text(json.dumps(DESCRIPTION | changes), encoding="utf-8")
    return folder


@pytest.mark.usefixtures("no_graph_optimizer")
def test_an_exported_model(exported, network):
    keras.config.set_dtype_policy("mixed_bfloat16")
    loaded = load_network(exported)
    # It computes in float32 whatever the program does, and changes nothing for the program.
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    cube = np.random.default_rng(0).random((1, SIZE, SIZE, SIZE, 1), np.float32)
    found = loaded(cube)
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    np.testing.assert_allclose(found, network(cube), atol=1e-5)
    assert (loaded.size, loaded.spacing_mm) == (SIZE, 2.5)
    record = loaded.record
    assert (record["name"], record["steps"], record["fold"]) == ("mine", 30, 4)
    assert record["folders"] == DESCRIPTION["folders"]
    assert len(record["sha256"]) == len(record["weights_sha256"]) == 64
    json.dumps(record)


def test_other_weights_have_another_hash(exported, network, tmp_path):
    before = load_network(str(exported)).record["weights_sha256"]
    folder = described(exported, tmp_path / "other")
    weights = network.get_weights()
    network.set_weights([weights[0] + 1, *weights[1:]])
    save_weights(folder / EXPORTED_WEIGHTS, [network])
    network.set_weights(weights)
    assert load_network(folder).record["weights_sha256"] != before


def test_a_run_with_its_best_weights(exported, network, tmp_path):
    dataset = write_boxes(tmp_path / "data")
    run = write_segmenting_run(tmp_path / "run", dataset)
    with pytest.raises(UserError, match="holds no whole best checkpoint"):
        load_network(run)
    checkpoints.save(run / "best", {"segmentation": network}, {}, {"step": 7})
    loaded = load_network(run)
    spacing_mm = {patient["spacing_mm"] for patient in dataset.manifest["patients"]}
    assert {loaded.spacing_mm} == spacing_mm
    record = loaded.record
    assert (record["name"], record["steps"], record["fold"]) == ("run", 7, SEGMENTING.fold)
    assert record["weights_sha256"] == load_network(exported).record["weights_sha256"]
    assert record["data_sha256"] == dataset.content_hash()
    assert record["training_patients"] == len(dataset.split(SEGMENTING.fold).training)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(UserError, match="its voxel size is unknown, since its data are gone"):
        load_network(run)
    # Other data at the same place may have another voxel size.
    write_boxes(tmp_path / "data", count=9)
    with pytest.raises(UserError, match=r"data: not the data that .*run was trained on, so that"):
        load_network(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "does not segment; name another model"),
        ({"spacing_mm": None}, "name no voxel size"),
        ({"window_hu": [-1000, 2000]}, "another window than -1000 to 1500 HU"),
        ({"training": {"segmentation": "mulsisnet"}}, "no networks of this version"),
        ({"training": {"segmentation": "new", "width": 1}}, "no networks of this version"),
        ({"training": {"segmentation": "mulsisnet", "width": 0.25}}, "another size or width"),
        ({"format": "other/1"}, "missing, or not of format xctrs-export/2"),
    ],
)
def test_metadata_of_another_network(exported, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        load_network(described(exported, tmp_path / "m", **changes))


def test_a_file_that_was_changed_since_the_export(exported, network, tmp_path):
    folder = described(exported, tmp_path / "m", checksums=CHECKSUMS)
    write_checksums(folder)
    assert load_network(folder).size == SIZE
    # Whole weights of the right shapes, which only the hash tells from the exported ones.
    weights = [each + 1 for each in network.get_weights()]
    changed = MulSISNet(**NETWORK)
    changed.set_weights(weights)
    save_weights(folder / EXPORTED_WEIGHTS, [changed])
    with pytest.raises(UserError, match=r"m/assets\.extra/weights\.npz: changed since the export"):
        load_network(folder)


def test_a_network_that_gives_no_numbers():
    cube = keras.Input((4, 4, 4, 1))
    network = SegmentationNetwork(keras.Model(cube, cube / 0), 2.5, {"name": "m"})
    with pytest.raises(UserError, match="--model=m: the network gives no numbers"):
        network(np.ones((1, 4, 4, 4, 1), np.float32))


def test_folders_without_a_segmentation_network(models, tmp_path):
    with pytest.raises(UserError, match=r"holds a graph; export the run with --format=weights"):
        load_network(models)
    with pytest.raises(UserError, match=r"no exported model; make one with experiments\.export"):
        load_network(tmp_path)
    with pytest.raises(UserError, match=r"--model=absent: neither vertebrae64 nor the folder of"):
        load_network("absent")


@pytest.mark.parametrize(
    ("training", "threshold"),
    [
        ({}, 0.5),
        ({"cross_entropy_weight": 5.0, "cross_entropy_balance": 0.5}, 0.85),
        ({"cross_entropy_weight": 0.0, "cross_entropy_balance": 0.5}, 0.5),
        (
            {
                "cross_entropy_weight": 1.0,
                "cross_entropy_balance": 0.5,
                "cross_entropy_fade": 0.5,
            },
            0.5,
        ),
    ],
)
def test_networks_that_were_taught_too_much_bone_have_a_threshold(training, threshold):
    assert segmentation_network._bone_threshold(training) == threshold
