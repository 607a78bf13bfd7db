import errno
import typing

import numpy as np
import pytest

from tests.data import cases
from tests.data.dicoms import write_series
from tests.data.layouts import without_c3, write_study, write_verse_bids
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck, write_neck
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.folds import make_folds
from xctrs_tf.data.dataset.preparation import prepare_cohort
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.sources.collections import open_collections
from xctrs_tf.data.sources.raw_patient import PatientSource, RawPatient
from xctrs_tf.data.volumes.volume import write_volume
from xctrs_tf.errors import UserError

CONFIGURATION = {**cases.CONFIGURATION, "size": 32}


def prepare(source, out, mapper=map):
    """Prepare the patients of a source at 32^3 and 3 mm; return ids and rejections."""
    writer = DatasetWriter(out, CONFIGURATION)
    done, rejected = prepare_cohort(source, source.ids, writer, 32, 3.0, FilmSimulation(), mapper)
    if done:
        writer.finalise(make_folds(done), rejected)
    return done, [(scan["id"], scan["reason"]) for scan in rejected]


def test_damaged_series_are_rejected_alone(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for seed, name in enumerate(("cut", "gap", "junk", "two", "whole")):
        change = (lambda number, _: number not in (7, 8)) if name == "gap" else None
        write_study(images / name, labels / f"{name}.nii", seed, change=change)
    cut = images / "cut/1-005.dcm"
    cut.write_bytes(cut.read_bytes()[:200])
    for file in (images / "junk").iterdir():
        file.write_bytes(b"junk")
    write_series(images / "two", make_neck()[0], series="2")
    source = open_collections(["dicom"], [images], labels=labels)
    done, rejected = prepare(source, tmp_path / "out")
    assert done == open_dataset(tmp_path / "out").ids == ["whole"]
    assert rejected == [
        ("cut", f"{cut}: damaged, or not a DICOM slice of a CT"),
        ("gap", f"{images}/gap: 2 slices missing; fetch the series again"),
        ("junk", f"{images}/junk/1-001.dcm: damaged, or not a DICOM slice of a CT"),
        ("two", f"{images}/two: 2 series; keep each in a folder of its own"),
    ]


def test_a_patient_of_two_collections_is_one(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        write_neck(tmp_path / "in", name, seed)
    write_verse_bids(tmp_path / "verse", "verse004", seed=1)
    source = open_collections(["nifti", "verse"], [tmp_path / "in", tmp_path / "verse"])
    done, rejected = prepare(source, tmp_path / "out")
    assert done == ["nifti-a", "nifti-b"]
    file = "training/rawdata/sub-verse004/sub-verse004_ct.nii.gz"
    twice = [("verse-verse004", f"{file}: the same image as patient nifti-b")]
    assert rejected == twice
    # A second run knows the images of the first.
    assert prepare(source, tmp_path / "out") == (done, twice)


def test_a_scan_rejected_before_another_of_its_patient_is_listed(tmp_path):
    write_verse_bids(tmp_path / "in", "verse417", "_split-verse276", spoil=without_c3)
    write_verse_bids(tmp_path / "in", "verse417", "_split-verse277", seed=1)
    source = open_collections(["verse"], [tmp_path / "in"])
    first = prepare(source, tmp_path / "out")
    assert first[0] == ["verse417"]
    ((patient, reason),) = first[1]
    assert patient == "verse417" and reason.endswith("split-verse276_ct.nii.gz: label C3 missing")

    def no_patients(function, items):
        assert list(items) == []
        return []

    manifest = (tmp_path / "out" / "manifest.json").read_bytes()
    assert prepare(source, tmp_path / "out", no_patients) == first
    assert (tmp_path / "out" / "manifest.json").read_bytes() == manifest


def test_a_corrected_licence_reaches_a_patient_that_is_written(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_neck(folder, "a")
    records = []
    for licence, mapper in (("CC BY 4.0", map), ("CC BY-NC 4.0", lambda crop, todo: [])):
        manifest = f"id,source,licence\na,hospital,{licence}\n"
        (folder / "manifest.csv").write_text(manifest, encoding="utf-8")
        prepare(open_collections(["nifti"], [folder]), tmp_path / "out", mapper)
        records += open_dataset(tmp_path / "out").manifest["patients"]
    assert records[0]["licence"] == "CC BY 4.0"
    assert records[1] == {**records[0], "licence": "CC BY-NC 4.0"}


def test_a_scan_is_used_once_it_is_corrected_and_preferred_to_the_one_in_use(tmp_path):
    parts = ("_split-verse276", "_split-verse277")
    write_verse_bids(tmp_path / "in", "verse417", parts[0], spoil=without_c3)
    write_verse_bids(tmp_path / "in", "verse417", parts[1], seed=1)

    def used():
        done, rejected = prepare(open_collections(["verse"], [tmp_path / "in"]), tmp_path / "out")
        (record,) = open_dataset(tmp_path / "out").manifest["patients"]
        assert done == ["verse417"]
        return record["source_file"].rsplit("/", 1)[1], record.get("earlier_sha256"), rejected

    file, earlier, rejected = used()
    assert file == f"sub-verse417{parts[1]}_ct.nii.gz" and len(earlier) == len(rejected) == 1
    write_verse_bids(tmp_path / "in", "verse417", parts[0])
    assert used() == (f"sub-verse417{parts[0]}_ct.nii.gz", None, [])
    # A further scan that is preferred to both, at first unreadable.
    new = tmp_path / "in/training/rawdata/sub-verse417/sub-verse417_split-verse275_ct.nii.gz"
    new.write_bytes(b"junk")
    assert used()[:2] == (f"sub-verse417{parts[0]}_ct.nii.gz", [None])
    write_verse_bids(tmp_path / "in", "verse417", "_split-verse275", seed=2)
    assert used() == (new.name, None, [])


def test_a_scan_that_is_gone_is_listed_no_more(tmp_path):
    write_verse_bids(tmp_path / "in", "verse417", "_split-verse276", spoil=without_c3)
    write_verse_bids(tmp_path / "in", "verse417", "_split-verse277", seed=1)
    assert len(prepare(open_collections(["verse"], [tmp_path / "in"]), tmp_path / "out")[1]) == 1
    for file in (tmp_path / "in").rglob("*verse276*"):
        file.unlink()
    assert prepare(open_collections(["verse"], [tmp_path / "in"]), tmp_path / "out")[1] == []


def test_scans_of_one_patient_in_a_table_are_one_patient(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abc"):
        write_neck(tmp_path / "in", name, seed)
    without_c3(labels := make_neck()[1].array)
    write_volume(tmp_path / "in/a_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)
    table = "id,patient\na,p1\nb,p1\nc,p2\n"
    (tmp_path / "in/manifest.csv").write_text(table, encoding="utf-8")
    done, rejected = prepare(open_collections(["nifti"], [tmp_path / "in"]), tmp_path / "out")
    assert done == ["p1", "p2"]
    assert [(name, reason.rsplit("/", 1)[-1]) for name, reason in rejected] == [
        ("p1", "a_ct.nii.gz: label C3 missing")
    ]
    records = open_dataset(tmp_path / "out").manifest["patients"]
    assert [record["source_file"] for record in records] == ["b_ct.nii.gz", "c_ct.nii.gz"]


def test_files_of_patients_who_left_are_removed(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abcd"):
        write_neck(tmp_path / "in", name, seed)
    prepare(open_collections(["nifti"], [tmp_path / "in"]), tmp_path / "out")
    # a leaves, b is rejected from now on.
    (tmp_path / "in/a_ct.nii.gz").unlink()
    (tmp_path / "in/a_seg.nii.gz").unlink()
    without_c3(labels := make_neck(1)[1].array)
    write_volume(tmp_path / "in/b_seg.nii.gz", labels, SPACING_MM, ORIGIN_MM)
    others = [tmp_path / "out/patients" / name for name in (".hidden.npz", "notes.txt", "#.npz")]
    for file in others:
        file.write_bytes(b"of the user")
    done, _ = prepare(open_collections(["nifti"], [tmp_path / "in"]), tmp_path / "out")
    assert done == ["c", "d"]
    kept = {tmp_path / "out/patients" / f"{name}.npz" for name in done} | set(others)
    assert set((tmp_path / "out/patients").iterdir()) == kept


def test_the_comparison_with_the_source_has_a_progress_bar(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        write_neck(tmp_path / "in", name, seed)
    source = open_collections(["nifti"], [tmp_path / "in"])
    prepare(source, tmp_path / "out")
    bars = []

    def progress(patients, words=None):
        bars.append((list(patients), words))
        return patients

    writer = DatasetWriter(tmp_path / "out", CONFIGURATION)
    options = {"progress": progress}
    prepare_cohort(source, source.ids, writer, 32, 3.0, FilmSimulation(), **options)
    assert bars == [(["a", "b"], "comparing with the source"), ([], None)]


def test_a_changed_source_is_prepared_again(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        write_neck(tmp_path / "in", name, "ab".index(name))
    source = open_collections(["nifti"], [tmp_path / "in"])
    prepare(source, tmp_path / "out")
    before = open_dataset(tmp_path / "out")
    write_neck(tmp_path / "in", "b", 5)
    prepare(source, tmp_path / "out")
    after = open_dataset(tmp_path / "out")
    np.testing.assert_array_equal(before.load("a").ct, after.load("a").ct)
    assert before.content_hash() != after.content_hash()


def test_a_patient_who_cannot_be_read_for_now_stays(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        write_neck(tmp_path / "in", name, seed)
    source = open_collections(["nifti"], [tmp_path / "in"])
    prepare(source, tmp_path / "out")
    before = open_dataset(tmp_path / "out").content_hash()
    record = type(source).record

    def with_fault(self, scan):
        if "b" in record(self, scan)["source_file"]:
            raise OSError(errno.EIO, "Input/output error", "b_ct.nii.gz")
        return record(self, scan)

    monkeypatch.setattr(type(source), "record", with_fault)
    with pytest.raises(UserError, match=r"b: cannot be read now, .*; run the same command again"):
        prepare(source, tmp_path / "out")
    assert open_dataset(tmp_path / "out").content_hash() == before
    monkeypatch.undo()
    # A file that is gone is no such fault.
    (tmp_path / "in/b_ct.nii.gz").unlink()
    assert prepare(source, tmp_path / "out")[0] == ["a"]


def test_a_full_disk_ends_the_preparation(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abc"):
        write_neck(tmp_path / "in", name, seed)
    savez = np.savez

    def full_for_b(file, **arrays):
        if file.name == "b.npz":
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", full_for_b)
    source = open_collections(["nifti"], [tmp_path / "in"])
    with pytest.raises(UserError, match=r"patients/b\.npz: cannot be written \(No space left on"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()
    monkeypatch.undo()
    assert prepare(source, tmp_path / "out") == (["a", "b", "c"], [])


def said_of(error):
    """Return a UserError that was raised from an error."""
    said = UserError("z.dcm: damaged, or not a DICOM slice of a CT")
    said.__cause__ = error
    return said


class Faulty(PatientSource):
    """Source whose patients fail in ways that no reader foresees; ``good`` does not."""

    faults: typing.ClassVar = {
        "a": ZeroDivisionError("float\ndivision by zero"),
        "b": KeyError("pixdim"),
        "c": AssertionError(),
        "e": RecursionError("maximum recursion depth exceeded"),
        "f": UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
        "g": OSError(5, "Input/output error"),
        "h": OverflowError("x" * 10_000),
        "i": PermissionError(13, "Permission denied", "/in/i_ct.nii.gz"),
    }

    def __init__(self):
        self.ids = ["../out", *self.faults, "good"]
        self.unusable = {"sub": "sub: cannot be read"}

    def record(self, scan):
        return {"source": "test", "source_file": scan, "source_sha256": "0", "licence": "none"}

    def load(self, scan):
        if scan in self.faults:
            raise self.faults[scan]
        return RawPatient(scan, *make_neck())


def test_whatever_is_wrong_with_a_patient_rejects_that_one(tmp_path):
    done, rejected = prepare(Faulty(), tmp_path / "out")
    assert done == open_dataset(tmp_path / "out").ids == ["good"]
    reasons = dict(rejected)
    assert reasons.keys() == {"../out", *Faulty.faults, "sub"}
    assert reasons["a"] == "a: cannot be read (float division by zero)"
    assert reasons["c"] == "c: cannot be read (AssertionError)"
    assert reasons["i"] == "/in/i_ct.nii.gz: cannot be read (Permission denied)"
    assert reasons["../out"].startswith("id '../out': no plain file name")
    assert max(map(len, reasons.values())) < 400 and "\n" not in "".join(reasons.values())
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_rejected_part_of_a_patient_is_listed_in_every_run(tmp_path):
    source = Faulty()
    source.unusable = {"good": "good_2: cannot be read"}
    first = prepare(source, tmp_path / "out")
    assert ("good", "good_2: cannot be read") in first[1]
    assert prepare(source, tmp_path / "out") == first


def test_a_part_that_is_unusable_no_more_is_not_listed(tmp_path):
    source = Faulty()
    source.ids = ["good"]
    source.scans = lambda patient: ["a", patient]
    part, scan = "good_2: cannot be read", "good: cannot be read (float division by zero)"
    source.unusable = {"good": part}
    assert prepare(source, tmp_path / "out")[1] == [("good", part), ("good", scan)]
    source.unusable = {}
    assert prepare(source, tmp_path / "out")[1] == [("good", scan)]


@pytest.mark.parametrize(
    ("fault", "raised", "message"),
    [
        *(
            (OSError(number, "full", "copy"), UserError, "z: .*; run the same command again")
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        ),
        (MemoryError(), UserError, "z: not enough memory; .*fewer --workers"),
        (OSError(errno.ENOMEM, "full"), UserError, "z: not enough memory; .*fewer --workers"),
        # Readers say it in words.
        (said_of(MemoryError()), UserError, "z: not enough memory; .*fewer --workers"),
        (ModuleNotFoundError("No module named 'SimpleITK'"), ModuleNotFoundError, "SimpleITK"),
    ],
)
def test_a_fault_of_the_machine_ends_the_preparation(tmp_path, fault, raised, message):
    source = Faulty()
    source.ids = ["good", "z"]
    source.faults = {"z": fault}
    with pytest.raises(raised, match=message):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_patient_whose_films_show_nothing_is_rejected(tmp_path, monkeypatch):
    source = Faulty()
    source.ids = ["good"]
    blank = {view: np.zeros((32, 32), np.float32) for view in ("ap", "la")}
    monkeypatch.setattr(FilmSimulation, "films", lambda *_: blank)
    done, rejected = prepare(source, tmp_path / "out")
    assert done == []
    assert rejected[0] == ("good", "good: nothing is to be seen on the AP film")
