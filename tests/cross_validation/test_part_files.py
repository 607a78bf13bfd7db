"""A stream in parts: their size, replacement without a gap, and what is refused."""

import io
import json
import os
import tarfile

import pytest

from tests.cross_validation.fake_runs import files
from xctrs_tf.cross_validation import part_files
from xctrs_tf.cross_validation.part_files import FORMAT, read_index, unpack_parts, write_parts
from xctrs_tf.errors import UserError

ABOUT = {"format": FORMAT}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(part_files, "PART_BYTES", 4000)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "parts"
    path.mkdir()
    return path


def unpacked(folder, target, wanted=lambda name: True):
    target.mkdir()
    unpack_parts(folder, read_index(folder), target, wanted)
    return {name: (target / name).read_bytes() for name in files(target)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_come_back_from_parts_of_limited_size(folder, tmp_path):
    large = os.urandom(9000)
    (tmp_path / "large").write_bytes(large)
    count, size = write_parts(folder, [("a/b", tmp_path / "large"), ("c", b"small")], ABOUT)
    parts = sorted(folder.glob("part-*.bin"))
    assert [path.stat().st_size for path in parts[:-1]] == [4000] * (count - 1)
    assert 0 < parts[-1].stat().st_size <= 4000 and count > 2
    assert sum(path.stat().st_size for path in parts) == size
    assert unpacked(folder, tmp_path / "all") == {"a/b": large, "c": b"small"}
    assert unpacked(folder, tmp_path / "some", lambda name: name == "c") == {"c": b"small"}


def test_no_file_is_larger_than_16_mb():
    # The fixture makes it smaller for the others.
    source = part_files.__loader__.get_source(part_files.__name__)
    assert "PART_BYTES = 16_000_000\n" in source


def test_an_absent_or_empty_folder_has_no_index(folder, tmp_path):
    (folder / ".lock").touch()
    assert read_index(folder) is None
    assert read_index(tmp_path / "absent") is None


def test_the_old_parts_are_there_until_the_index_names_the_new_ones(folder, monkeypatch, tmp_path):
    write_parts(folder, [("a", b"old" * 3000)], ABOUT)
    old = set(names(folder))
    seen = []
    original = part_files.write_json

    def watching(path, index):
        assert old <= set(names(folder))
        # The old stream can be read until this moment, the new one from then on.
        seen.append(unpacked(folder, tmp_path / "before"))
        original(path, index)
        seen.append(unpacked(folder, tmp_path / "after"))

    monkeypatch.setattr(part_files, "write_json", watching)
    write_parts(folder, [("a", b"new" * 2000)], ABOUT)
    assert seen == [{"a": b"old" * 3000}, {"a": b"new" * 2000}]
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert names(folder) == sorted(["index.json", *(part["name"] for part in index["parts"])])
    assert old.isdisjoint(part["name"] for part in index["parts"])


def test_a_writing_that_fails_or_is_killed_leaves_the_old_stream(folder, tmp_path):
    write_parts(folder, [("a", b"old")], ABOUT)
    before = names(folder)

    def failing():
        yield "a", b"new" * 3000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parts(folder, failing(), ABOUT)
    assert names(folder) == before
    # A killed process leaves parts without a name of their own, and perhaps finished ones.
    (folder / ".parts-abcd").mkdir()
    (folder / ".parts-abcd" / "part-0002-000.bin").write_bytes(b"half")
    (folder / "part-0002-000.bin").write_bytes(b"whole")
    assert unpacked(folder, tmp_path / "old") == {"a": b"old"}
    write_parts(folder, [("a", b"new")], ABOUT)
    assert {name[:10] for name in names(folder)} == {"index.json", "part-0003-"}
    assert unpacked(folder, tmp_path / "new") == {"a": b"new"}


def damage_index(folder, **changes):
    path = folder / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "notes.txt").touch(), "holds notes.txt, so it is no handover; name an"),
        (lambda f: (f / "index.json").unlink(), "index.json: missing; copy the whole folder"),
        (lambda f: (f / "index.json").write_text("{", "utf-8"), r"index.json: damaged \("),
        (lambda f: damage_index(f, parts=[{"name": "../x", "size": 1, "sha256": ""}]), "damaged"),
        (lambda f: damage_index(f, parts=None), "index.json: damaged"),
        (lambda f: damage_index(f, format="test/2"), "format is 'test/2' and not xctrs-handover/1"),
        (lambda f: (f / "part-0001-001.bin").unlink(), "part-0001-001.bin: missing; copy it again"),
        (lambda f: os.truncate(f / "part-0001-000.bin", 3999), "000.bin: damaged or not copied"),
        (lambda f: (f / "part-0001-000.bin").write_bytes(bytes(4000)), "000.bin: damaged or not"),
    ],
)
def test_what_is_not_whole_is_refused(folder, damage, message):
    write_parts(folder, [("a", os.urandom(5000))], ABOUT)
    damage(folder)
    with pytest.raises(UserError, match=message):
        read_index(folder)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a//b", "a\\..\\b", "."])
def test_names_outside_the_folder_are_refused(folder, tmp_path, name):
    write_parts(folder, [(name, b"evil")], ABOUT)
    with pytest.raises(UserError, match="damaged"):
        unpacked(folder, tmp_path / "target")
    assert files(tmp_path / "target") == [] and not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(folder, tmp_path, monkeypatch, kind):
    def add(tar, name, content):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member, io.BytesIO(content))

    monkeypatch.setattr(part_files, "_add", add)
    write_parts(folder, [("a", b"")], ABOUT)
    with pytest.raises(UserError, match="'a' is no file in it"):
        unpacked(folder, tmp_path / "target")


def test_a_full_disk_names_the_folder(folder, tmp_path):
    def full():
        yield "a", b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError) as caught:
        write_parts(folder, full(), ABOUT)
    assert caught.value.filename == str(folder)
    assert names(folder) == []
