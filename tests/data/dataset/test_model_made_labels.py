"""Data folders whose labels a network made: manifest, continuation, names of the overlap."""

import json

import pytest

from tests.data.cases import CONFIGURATION, RECORD, make_case
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.errors import UserError

LABELS = {"made_by": "model", "model": {"name": "NET", "weights_sha256": "ab" * 32}}
CONFIG = {**CONFIGURATION, "labels": LABELS}
OF_PATIENT = {"made_by": "model", "name": "NET", "weights_sha256": "ab" * 32}


def write(path, configuration=CONFIG, label_name=None):
    """Write a folder of three patients, or open one that is there."""
    writer = DatasetWriter(path, configuration, label_name)
    for number in range(3):
        writer.add(make_case(f"p{number}", number), {**RECORD, "labels": OF_PATIENT})
    writer.finalise([["p0"], ["p1"], ["p2"]], [])
    return open_dataset(path)


def change(path, **fields):
    """Change fields of a manifest by hand."""
    file = path / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**manifest, **fields}), encoding="utf-8")


def test_the_manifest_and_the_sources_say_so(tmp_path):
    dataset = write(tmp_path / "set")
    assert dataset.manifest["labels"] == LABELS
    assert dataset.label_name == "model-made Dice"
    assert dataset.sources() == [
        {"source": "test", "licence": "none", "patients": 3, "labels": "model-made by NET"}
    ]
    # A rename that says so stays.
    assert write(tmp_path / "set", label_name="model-made overlap").label_name == (
        "model-made overlap"
    )
    assert write(tmp_path / "set").label_name == "model-made overlap"


def test_the_overlap_cannot_be_called_otherwise(tmp_path):
    dataset = write(tmp_path / "set")
    assert dataset.overlap_name() == dataset.overlap_name("") == "model-made Dice"
    assert dataset.overlap_name("my model-made Dice") == "my model-made Dice"
    with pytest.raises(UserError, match="--label_name=Dice: a network made these labels; the"):
        dataset.overlap_name("Dice")


def test_other_folders_take_any_name(tmp_path):
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    writer.add(make_case("p0"), RECORD)
    writer.finalise([["p0"]], [])
    dataset = open_dataset(tmp_path / "set")
    assert "labels" not in dataset.manifest and "labels" not in dataset.sources()[0]
    assert (dataset.overlap_name(), dataset.overlap_name("any")) == ("Dice", "any")


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {**LABELS, "model": {"name": "NET", "weights_sha256": "cd" * 32}},
        {**LABELS, "model": {"name": "OTHER", "weights_sha256": "ab" * 32}},
    ],
)
def test_labels_of_another_network_or_of_none_do_not_go_into_the_folder(tmp_path, labels):
    write(tmp_path / "set")
    configuration = {**CONFIGURATION, **({"labels": labels} if labels else {})}
    with pytest.raises(UserError, match="made with another origin or network of the labels"):
        DatasetWriter(tmp_path / "set", configuration)


def test_a_network_does_not_go_into_a_folder_with_labels(tmp_path):
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    writer.add(make_case("p0"), RECORD)
    with pytest.raises(UserError, match="made with another origin or network of the labels"):
        DatasetWriter(tmp_path / "set", CONFIG)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label_name": "Dice"}, "a network made its labels, and label_name hides it"),
        ({"label_name": "Dice", "labels": None}, "a network made its labels, and label_name"),
        ({"labels": "mine"}, "labels 'mine'"),
        ({"labels": {"made_by": "me"}}, "labels \"{'made_by': 'me'}\""),
    ],
)
def test_a_manifest_that_hides_it_is_refused(tmp_path, fields, message):
    write(tmp_path / "set")
    change(tmp_path / "set", **fields)
    with pytest.raises(UserError) as error:
        open_dataset(tmp_path / "set")
    assert message in str(error.value) and str(error.value).count("\n") == 0
