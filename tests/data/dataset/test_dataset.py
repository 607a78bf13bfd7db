import dataclasses
import hashlib
import pathlib
import zipfile

import numpy as np
import pytest

from tests.data.cases import (
    CONFIGURATION,
    RECORD,
    deal_anew,
    edit_manifest,
    make_case,
    write_dataset,
)
from xctrs_tf.data.dataset import network_arrays, open_dataset, patient_file
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.errors import UserError
from xctrs_tf.files import sha256_of

ARRAYS = ("ct", "segmentation", "ap", "la")


def rewrite(folder, patient, **arrays):
    """Exchange a patient's arrays, and their hash in the manifest."""
    file = folder / f"patients/{patient}.npz"
    with np.load(file) as stored:
        np.savez(file, **{**stored, **arrays})

    def with_its_hash(manifest):
        for record in manifest["patients"]:
            if record["id"] == patient:
                record["sha256"] = sha256_of(file)

    edit_manifest(folder, with_its_hash)


@pytest.fixture
def folder(tmp_path):
    return write_dataset(tmp_path / "set")


def test_a_case_comes_back_as_it_was_written(folder):
    expected = make_case("p3", 3)
    case = open_dataset(folder).load("p3")
    for name in ("ct", "segmentation", "ap", "la"):
        np.testing.assert_array_equal(getattr(case, name), getattr(expected, name))
        assert getattr(case, name).dtype == getattr(expected, name).dtype
    assert (case.id, case.spacing_mm, case.origin_mm) == ("p3", 2.5, (1.0, -2.0, 3.5))


def test_the_manifest_says_what_the_folder_holds(folder):
    dataset = open_dataset(folder)
    assert dataset.path == folder
    assert dataset.size == 6
    assert dataset.ids == [f"p{number}" for number in range(10)]
    assert dataset.manifest["format"] == "xctrs-dataset/1"
    assert dataset.manifest["projection"] == {"geometry": "parallel"}
    assert dataset.manifest["rejected"] == []
    assert dataset.manifest["patients"][0].keys() >= {"id", "sha256", "spacing_mm", "origin_mm"}


def test_same_patients_give_the_same_bytes(tmp_path):
    first, second = write_dataset(tmp_path / "a"), write_dataset(tmp_path / "b")
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert len(files) == 11
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()
    assert open_dataset(first).content_hash() == open_dataset(second).content_hash()


def test_the_content_hash_changes_with_one_voxel(folder):
    before = open_dataset(folder).content_hash()
    case = make_case("p4", 4)
    case.ct[1, 2, 3] += 1
    writer = DatasetWriter(folder, CONFIGURATION)
    writer.add(case, RECORD)
    writer.finalise(open_dataset(folder).manifest["folds"], [])
    assert open_dataset(folder).content_hash() != before


def test_data_that_are_dealt_anew_are_other_data_to_a_network(folder):
    before = open_dataset(folder)
    content, split = before.content_hash(), before.split_hash(1)
    assert split != before.split_hash(0) and before.split_hash(5) is None
    assert before.is_data_of(content, 1, split) and not before.is_data_of("e" * 64, 1, split)
    deal_anew(folder)
    after = open_dataset(folder)
    assert after.content_hash() == content and after.split(0) == before.split(1)
    assert after.is_data_of(content, 0, split)
    assert not after.is_data_of(content, 1, split) and not after.is_data_of(content, 5, split)
    # Runs of earlier versions do not tell.
    assert after.is_data_of(content, 1)


def test_network_arrays_have_the_shapes_and_ranges_of_the_networks(folder):
    case = open_dataset(folder).load("p0")
    arrays = network_arrays(case)
    assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
        "ap": ((6, 6, 1), "float32"),
        "la": ((6, 6, 1), "float32"),
        "ct": ((6, 6, 6, 1), "float32"),
        "segmentation": ((6, 6, 6), "uint8"),
    }
    assert (arrays["ap"].min(), arrays["ap"].max()) == (0.0, 1.0)
    np.testing.assert_allclose(arrays["ct"][..., 0], (case.ct + 1000) / 2500, atol=1e-6)


def test_split_tests_the_group_and_validates_a_tenth_of_the_others(folder):
    dataset = open_dataset(folder)
    for fold in range(5):
        split = dataset.split(fold)
        assert split.test == [f"p{fold}", f"p{fold + 5}"]
        assert len(split.validation) == 1 and len(split.training) == 7
        assert sorted(split.training + split.validation + split.test) == dataset.ids
        assert split == dataset.split(fold)


def test_split_validates_a_tenth_and_differs_from_fold_to_fold(tmp_path):
    dataset = open_dataset(write_dataset(tmp_path / "set", num_patients=44, num_folds=11))
    splits = [dataset.split(fold) for fold in range(11)]
    assert {len(split.validation) for split in splits} == {4}
    assert len({tuple(split.validation) for split in splits}) > 5


def test_validation_patients_are_read_from_the_manifest(folder):
    dataset = open_dataset(folder)
    written = dataset.manifest["validation"]
    assert [dataset.split(fold).validation for fold in range(5)] == written
    other = next(id for id in dataset.ids if id not in {"p0", "p5", *written[0]})
    edit_manifest(folder, lambda manifest: manifest["validation"].__setitem__(0, [other]))
    split = open_dataset(folder).split(0)
    assert split.validation == [other]
    assert written[0][0] in split.training


@pytest.mark.parametrize("fold", [-1, 5])
def test_no_such_fold(folder, fold):
    with pytest.raises(UserError, match=f"fold {fold}: .* has folds 0 to 4"):
        open_dataset(folder).split(fold)


def test_two_patients_cannot_be_split(tmp_path):
    dataset = open_dataset(write_dataset(tmp_path / "set", num_patients=2, num_folds=2))
    with pytest.raises(UserError, match="2 patients cannot be split; prepare more"):
        dataset.split(0)


def test_no_such_patient(folder):
    with pytest.raises(UserError, match="no patient 'nobody'"):
        open_dataset(folder).load("nobody")


def test_a_missing_patient_file(folder):
    (folder / "patients/p7.npz").unlink()
    with pytest.raises(UserError, match=r"p7.npz: missing; run experiments\.prepare"):
        open_dataset(folder)


@pytest.mark.parametrize("length", [0, 100, 1500])
def test_a_truncated_patient_file(folder, length):
    file = folder / "patients/p7.npz"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UserError, match=r"p7.npz: damaged; run experiments\.prepare"):
        open_dataset(folder)


def test_a_flipped_bit_in_a_patient_file(folder):
    file = folder / "patients/p7.npz"
    with zipfile.ZipFile(file) as archive:
        middle = archive.getinfo("segmentation.npy").header_offset + 250
    content = bytearray(file.read_bytes())
    content[middle] ^= 1
    file.write_bytes(content)
    dataset = open_dataset(folder)
    with pytest.raises(UserError, match=r"p7.npz: damaged or changed since it was prepared"):
        dataset.load("p7")


def test_a_patient_of_another_size(folder):
    case = make_case("p7", size=5)
    rewrite(folder, "p7", **{name: getattr(case, name) for name in ARRAYS})
    with pytest.raises(UserError, match=r"p7.npz: ct not of size 6; run experiments\.prepare"):
        open_dataset(folder).load("p7")


def test_a_patient_that_was_changed_is_not_read(folder):
    file = folder / "patients/p7.npz"
    dataset = open_dataset(folder)
    dataset.load("p7")
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["ct"] += 500
    np.savez(file, **arrays)
    with pytest.raises(UserError, match=r"p7\.npz: damaged or changed since it was prepared"):
        dataset.load("p7")


def test_a_patient_is_compared_with_its_hash_once(folder, monkeypatch):
    dataset = open_dataset(folder)
    hashed = []
    sha256 = hashlib.sha256

    def counted(content):
        hashed.append(len(content))
        return sha256(content)

    monkeypatch.setattr(patient_file.hashlib, "sha256", counted)
    for _ in range(3):
        dataset.load("p7")
    open_dataset(folder).load("p7")
    dataset.load("p8")
    assert len(hashed) == 2


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("segmentation", lambda array: array + np.uint8(193), "a label 200"),
        ("ct", lambda array: array.astype(np.float32), "ct of type float32, not int16"),
        ("segmentation", lambda array: array.astype(np.int64), "segmentation of type int64"),
        ("ap", lambda array: array * 0, "nothing is to be seen on the AP film"),
        ("la", lambda array: array * np.float32("nan"), "nothing is to be seen on the LA film"),
        ("la", lambda array: array[:5], "la not of size 6"),
    ],
)
def test_arrays_that_no_patient_has_are_refused(folder, name, change, message):
    array = getattr(make_case("p7", 7), name)
    array.flat[0] = 7
    rewrite(folder, "p7", **{name: change(array)})
    with pytest.raises(UserError, match=rf"p7\.npz: {message}.*; run experiments\.prepare again"):
        open_dataset(folder).load("p7")


def test_a_patient_that_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    opened = pathlib.Path.open

    def forbid(path, *args, **kwargs):
        if path.suffix == ".npz":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(pathlib.Path, "open", forbid)
    with pytest.raises(UserError, match=r"p0\.npz: cannot be read \(Permission denied\)"):
        open_dataset(folder)


def write_scans(path, change=lambda scan: None):
    """Write a data folder of two patients with scans around their crops."""
    writer = DatasetWriter(path, {**CONFIGURATION, "keep_scan": True})
    for number, name in enumerate(("p0", "p1")):
        case = make_case(name, number)
        scan = np.pad(case.ct, ((2, 0), (1, 3), (0, 4)), constant_values=-900)
        change(scan)
        record = {**RECORD, "kept_scan_size": list(scan.shape)}
        writer.add(dataclasses.replace(case, scan=scan, scan_start=(-2, -1, 0)), record)
    assert writer.has("p0", "0")
    writer.finalise([["p0"], ["p1"]], [])
    return open_dataset(path)


def test_scans_are_read_where_they_are_asked_for(tmp_path):
    dataset = write_scans(tmp_path / "scans")
    case = dataset.load("p1", with_scan=True)
    assert dataset.keeps_scans and case.scan_start == (-2, -1, 0)
    assert case.scan.shape == (8, 10, 10) and case.scan[0, 0, 0] == -900
    np.testing.assert_array_equal(case.scan[2:, 1:7, :6], case.ct)
    assert dataset.load("p1").scan is None
    assert dataset.bytes_of_a_case(True) - dataset.bytes_of_a_case() == 2 * 800
    older = open_dataset(write_dataset(tmp_path / "older"))
    assert not older.keeps_scans and older.load("p0", with_scan=True).scan is None
    assert older.bytes_of_a_case(True) == older.bytes_of_a_case()


def test_a_scan_of_another_crop_is_refused(tmp_path):
    folder = write_scans(tmp_path / "scans").path
    scan = open_dataset(folder).load("p0", with_scan=True).scan
    for changed, message in (
        ({"scan": np.roll(scan, 1, axis=0)}, "not that of the crop"),
        ({"scan": scan[:7]}, "does not hold the crop"),
        ({"scan_start": np.array([-2, -1, 1])}, "does not hold the crop"),
        ({"scan": scan.astype(float)}, "scan of type float64"),
    ):
        kept = {"scan": scan, "scan_start": np.array([-2, -1, 0])}
        rewrite(folder, "p0", **(kept | changed))
        with pytest.raises(UserError, match=message):
            open_dataset(folder).load("p0", with_scan=True)
