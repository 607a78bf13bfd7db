import errno
import json

import numpy as np
import pytest

from tests.data.cases import CONFIGURATION, RECORD, make_case, write_dataset
from xctrs_tf.data.dataset import dataset_writer, open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.manifest import is_label_name
from xctrs_tf.errors import UserError


@pytest.fixture
def folder(tmp_path):
    return write_dataset(tmp_path / "set")


def test_writer_writes_nothing_before_the_first_patient(tmp_path):
    DatasetWriter(tmp_path / "set", CONFIGURATION)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_folder_goes_on(tmp_path):
    path = tmp_path / "set"
    writer = DatasetWriter(path, CONFIGURATION)
    writer.add(make_case("p1", 1), RECORD)
    (path / "patients" / ".p2.npz.half").mkdir()
    with pytest.raises(UserError, match=r"interrupted: run the same experiments\.prepare"):
        open_dataset(path)

    writer = DatasetWriter(path, CONFIGURATION)
    assert writer.has("p1", "0") and not writer.has("p2", "0")
    assert not writer.has("p1", "another source")
    writer.add(make_case("p0", 0), RECORD)
    writer.finalise([["p1"], ["p0"]], [{"id": "p2", "reason": "why"}])
    dataset = open_dataset(path)
    assert dataset.ids == ["p0", "p1"]
    assert dataset.manifest["rejected"] == [{"id": "p2", "reason": "why"}]
    assert sorted(file.name for file in path.rglob("*")) == [
        "manifest.json",
        "p0.npz",
        "p1.npz",
        "patients",
    ]


def test_an_interrupted_folder_remembers_what_was_rejected_on_the_way(tmp_path):
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    record = {**RECORD, "image_sha256": "77", "earlier_sha256": [None]}
    writer.add(make_case("p1", 1), record, ["p1_a.file: why"])
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    assert writer.rejected_with("p1") == ["p1_a.file: why"]
    assert writer.rejected_with("p2") == []
    assert writer.knows("p1") and not writer.knows("p2")
    assert writer.image_of("p1") == "77"


def test_versions_are_written_down(folder):
    versions = open_dataset(folder).manifest["versions"]
    assert versions["numpy"] == np.__version__
    assert versions.keys() == {"xctrs_tf", "numpy", "scipy", "SimpleITK"}


def test_a_run_killed_in_its_first_patient_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "set"
    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        DatasetWriter(path, CONFIGURATION).add(make_case("p0", 0), RECORD)
    monkeypatch.undo()
    writer = DatasetWriter(path, CONFIGURATION)
    writer.add(make_case("p0", 0), RECORD)
    assert writer.has("p0", "0")


def killed(*args, **kwargs):
    raise KeyboardInterrupt


def test_a_full_disk_rejects_one_patient(tmp_path, monkeypatch):
    path = tmp_path / "set"
    writer = DatasetWriter(path, CONFIGURATION)
    writer.add(make_case("p0", 0), RECORD)
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full_disk)
        with pytest.raises(UserError, match=r"p1\.npz: cannot be written \(No space left on dev"):
            writer.add(make_case("p1", 1), RECORD)
    assert not writer.knows("p1")
    writer.add(make_case("p2", 2), RECORD)
    writer.finalise([["p0"], ["p2"]], [])
    assert open_dataset(path).ids == ["p0", "p2"]
    assert sorted(file.name for file in (path / "patients").iterdir()) == ["p0.npz", "p2.npz"]


def test_a_disk_too_full_for_the_list_of_patients(tmp_path, monkeypatch):
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    writer.add(make_case("p0", 0), RECORD)
    monkeypatch.setattr(dataset_writer, "write_json", full_disk)
    with pytest.raises(UserError, match=r"p1\.npz: cannot be written"):
        writer.add(make_case("p1", 1), RECORD)
    assert writer.knows("p0") and not writer.knows("p1")


def test_a_disk_too_full_for_the_manifest(tmp_path, monkeypatch):
    writer = DatasetWriter(tmp_path / "set", CONFIGURATION)
    writer.add(make_case("p0", 0), RECORD)
    monkeypatch.setattr(dataset_writer, "write_json", full_disk)
    with pytest.raises(UserError, match=r"manifest\.json: cannot be written .*; run the same"):
        writer.finalise([["p0"]], [])


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_damaged_patient_is_not_kept(folder):
    assert DatasetWriter(folder, CONFIGURATION).has("p7", "0")
    (folder / "patients/p7.npz").write_bytes(b"damaged")
    assert not DatasetWriter(folder, CONFIGURATION).has("p7", "0")


def test_a_patient_with_a_blank_film_is_not_kept(tmp_path):
    writer = DatasetWriter(tmp_path, CONFIGURATION)
    case = make_case("p0", 0)
    writer.add(case, RECORD)
    assert writer.has("p0", "0")
    case.ap[...] = 0
    writer.add(case, RECORD)
    assert not writer.has("p0", "0")


@pytest.mark.parametrize(("key", "value"), [("size", 5), ("select", "a=b"), ("seed", 1)])
def test_a_folder_of_another_configuration(folder, key, value):
    with pytest.raises(UserError, match=f"made with another {key}; choose another output"):
        DatasetWriter(folder, {**CONFIGURATION, key: value})


@pytest.mark.parametrize("other", [{"version": "0.0.0"}, {"preparation": 1}, {"preparation": None}])
def test_a_folder_of_another_version(folder, other):
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8")) | other
    # The first folders had no number.
    manifest = {key: value for key, value in manifest.items() if value is not None}
    file.write_text(json.dumps(manifest), encoding="utf-8")
    open_dataset(folder)
    with pytest.raises(UserError, match="with another version of this program; choose another out"):
        DatasetWriter(folder, CONFIGURATION)


def test_foreign_output_folders(tmp_path):
    (tmp_path / "letters.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files; choose an empty output folder"):
        DatasetWriter(tmp_path, CONFIGURATION)
    with pytest.raises(UserError, match="not a folder; choose another output folder"):
        DatasetWriter(tmp_path / "letters.txt", CONFIGURATION)


def test_the_name_of_the_overlap_is_kept_and_can_be_changed(tmp_path):
    def finish(label_name):
        writer = DatasetWriter(tmp_path / "set", CONFIGURATION, label_name)
        writer.add(make_case("p0"), RECORD)
        writer.finalise([["p0"]], [])
        dataset = open_dataset(tmp_path / "set")
        return dataset.label_name, dataset.content_hash()

    names, hashes = zip(*map(finish, [None, "pseudo-label Dice", None, "Dice"]), strict=True)
    assert names == ("Dice", "pseudo-label Dice", "pseudo-label Dice", "Dice")
    assert len(set(hashes)) == 1


def test_what_cannot_name_an_overlap_is_refused():
    for name in ("", " Dice", "a" * 41, "two\nlines", 3, None):
        assert not is_label_name(name)


@pytest.mark.parametrize(
    ("seed", "names", "kept"),
    [(1, ["p0", "p1"], True), (2, ["p0", "p1"], False), (1, ["p0"], False)],
    ids=["the same", "another array", "one left"],
)
def test_pictures_of_other_patients_are_removed(tmp_path, seed, names, kept):
    folder = write_dataset(tmp_path / "set", num_patients=2, num_folds=2)
    pictures = folder / "check" / "p0.png"
    pictures.parent.mkdir()
    pictures.write_bytes(b"picture")
    writer = DatasetWriter(folder, CONFIGURATION)
    writer.add(make_case("p1", seed), RECORD)
    writer.finalise([[name] for name in names], [])
    assert pictures.exists() is kept


def test_patients_who_left_the_source(folder):
    writer = DatasetWriter(folder, CONFIGURATION)
    assert writer.patients_who_left(["p0", "p1", "new"]) == [f"p{n}" for n in range(2, 10)]
    assert DatasetWriter(folder.parent / "new", CONFIGURATION).patients_who_left(["p0"]) == []
    with pytest.raises(
        UserError, match=r"set: has the patients p0, p1, p2, p3, p4 and 5 more, and"
    ):
        writer.patients_who_left(["q0"])
