"""Several data folders in one run: flag, shares, and the order of the samples."""

import collections
import pathlib

import pytest

from tests.data.cases import (
    CONFIGURATION,
    RECORD,
    deal_anew,
    edit_manifest,
    make_case,
    write_dataset,
)
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.mixture import (
    DataFolder,
    Part,
    absolute_data,
    open_parts,
    parse_data,
    part_and_position,
)
from xctrs_tf.data.sources.phantoms import PhantomSource
from xctrs_tf.data.stream.sample_stream import SampleStream, batch_ids
from xctrs_tf.errors import UserError

SIZE = 32


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("folders")
    return [write_dataset(root / name, 8, SIZE, num_folds=4) for name in ("a", "b")]


def test_one_folder_has_no_share():
    assert parse_data("A") == [DataFolder("A", None)]


def test_folders_with_shares():
    assert parse_data("A:0.5,/b/c:2") == [DataFolder("A", 0.5), DataFolder("/b/c", 2.0)]


def test_folders_without_shares():
    assert parse_data("A,B") == [DataFolder("A", None), DataFolder("B", None)]


def test_an_existing_folder_may_have_commas_and_colons(tmp_path):
    path = tmp_path / "a,b:1"
    path.mkdir()
    assert parse_data(str(path)) == [DataFolder(str(path), None)]


@pytest.mark.parametrize("shares", ["A:0.125,B:0.875", "A:9000000,B:500000", "A:0.00002,B:0.00003"])
def test_absolute_folders_have_the_same_shares(shares):
    found = [folder.share for folder in parse_data(absolute_data(shares))]
    assert found == [folder.share for folder in parse_data(shares)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("A:0.5,B", "give every folder a share"),
        ("A:0,B:1", "a share is 0"),
        ("A:0.999,B:0.001", "a share is below 0.01 of all; give it more, or leave the folder out"),
        ("A:1,A:2", "named twice"),
        ("A,,B", "not at all"),
    ],
)
def test_bad_lists_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_data(text)


def test_shares_sum_to_one_and_default_to_the_patients(folders):
    a, b = folders
    assert [part.share for part in open_parts(f"{a}:1,{b}:3", 0)] == [0.25, 0.75]
    parts = open_parts(f"{a},{b}", 0)
    total = sum(len(part.ids) for part in parts)
    assert [part.share for part in parts] == [len(part.ids) / total for part in parts]
    assert [part.ids for part in parts] == [
        open_dataset(path).split(0).training for path in folders
    ]


def test_folders_of_another_size_are_refused(folders, tmp_path):
    other = write_dataset(tmp_path / "other", 8, 64, num_folds=4)
    with pytest.raises(UserError, match=r"other has the size 64, and .* has 32; prepare them"):
        open_parts(f"{folders[0]},{other}", 0)


def test_training_patients_that_the_first_folder_holds_out_are_refused(tmp_path):
    folders = []
    for name, order in (("a", (0, 1, 2, 3)), ("b", (1, 2, 3, 0))):
        writer = DatasetWriter(tmp_path / name, {**CONFIGURATION, "size": SIZE})
        for number in order:
            hashed = {
                **RECORD,
                "image_sha256": f"{number}" * 64,
                "source_sha256": name + str(number),
            }
            writer.add(make_case(f"{name}{number}", number, SIZE), hashed)
        writer.finalise([[f"{name}{number}"] for number in order], [])
        folders.append(str(tmp_path / name))
    # Fold 0 tests scan 0 in the first folder, and scan 1 in the second.
    words = r"training patients of .*b, such as b0, are held out in .*a: their scans, or phantoms"
    with pytest.raises(UserError, match=words):
        open_parts(",".join(folders), 0)


def write_phantoms(path, seed, spacing_mm):
    """Prepare six phantoms on voxels of their own, as records of `PhantomSource` tell."""
    source = PhantomSource(6, seed, SIZE, spacing_mm)
    writer = DatasetWriter(path, {**CONFIGURATION, "size": SIZE})
    for number, name in enumerate(source.ids):
        image = f"{number}{spacing_mm}".ljust(64, "0")
        writer.add(make_case(name, number, SIZE), {**source.record(name), "image_sha256": image})
    writer.finalise([source.ids[fold::3] for fold in range(3)], [])
    return str(path)


def test_held_out_phantoms_on_other_voxels_are_refused(tmp_path):
    coarse = write_phantoms(tmp_path / "coarse", 0, 5.0)
    other = write_phantoms(tmp_path / "other", 1, 2.5)
    assert len(open_parts(f"{coarse},{other}", 0)) == 2
    # Six phantoms dealt otherwise.
    deal_anew(pathlib.Path(write_phantoms(tmp_path / "fine", 0, 2.5)))
    with pytest.raises(UserError, match=r"phantom-0000, are held out .* with another --seed"):
        open_parts(f"{coarse},{tmp_path / 'fine'}", 0)


def test_folders_of_other_voxels_are_told(folders, tmp_path, caplog):
    other = write_dataset(tmp_path / "other", 8, SIZE, num_folds=4)
    open_parts(f"{folders[0]},{other}", 0)
    assert not caplog.messages

    def coarsen(manifest):
        for record in manifest["patients"]:
            record["spacing_mm"] = 2.0

    edit_manifest(other, coarsen)
    open_parts(f"{folders[0]},{other}", 0)
    assert "other are of 2 mm, and those of" in caplog.messages[0]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.335, 0.665), (0.001, 0.4, 0.599)])
def test_every_hundred_samples_have_the_shares(shares):
    for block in range(3):
        parts = [part_and_position(shares, 7, block * 100 + i)[0] for i in range(100)]
        counts = collections.Counter(parts)
        for part, share in enumerate(shares):
            assert abs(counts[part] - 100 * share) <= 1.5


def test_positions_of_each_part_are_consecutive():
    found = [part_and_position((0.3, 0.7), 0, index) for index in range(250)]
    for part in (0, 1):
        positions = [position for which, position in found if which == part]
        assert positions == list(range(len(positions)))


def test_the_order_depends_on_the_seed():
    orders = [[part_and_position((0.5, 0.5), seed, i)[0] for i in range(50)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_samples_are_those_of_the_named_patients(folders):
    a, b = map(open_dataset, folders)
    # The same ids in both folders, as two cohorts may have.
    parts = [Part(a, a.ids[:4], 0.5), Part(b, b.ids[4:], 0.5)]
    stream = SampleStream(parts, 2, seed=3)
    for step in range(4):
        for place, patient in enumerate(batch_ids(parts, 2, 3, step)):
            owner = a if patient in a.ids[:4] else b
            sample = stream[2 * step + place]
            assert (sample["segmentation"] == owner.load(patient).segmentation).all()
    seen = {patient for step in range(40) for patient in batch_ids(parts, 2, 3, step)}
    assert seen == set(a.ids[:4] + b.ids[4:])
