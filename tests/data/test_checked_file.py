import gzip
import os
import pathlib

import pytest

from xctrs_tf.data.checked_file import (
    alone,
    check_end,
    printable,
    read_checked,
    read_start,
)
from xctrs_tf.errors import UserError

CONTENT = b"some content " * 100


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("stored", [CONTENT, gzip.compress(CONTENT)], ids=["plain", "gzip"])
def test_a_file_is_unpacked_by_its_content_and_not_by_its_name(tmp_path, name, stored):
    (tmp_path / name).write_bytes(stored)
    assert read_checked(tmp_path / name, len(CONTENT)) == CONTENT
    assert read_start(tmp_path / name, 10) == CONTENT[:10]


def test_more_bytes_than_allowed_are_refused_packed_and_unpacked(tmp_path):
    for stored in (CONTENT, gzip.compress(CONTENT)):
        (tmp_path / "a").write_bytes(stored)
        with pytest.raises(UserError, match="over 0 MB, more than is read"):
            read_checked(tmp_path / "a", len(CONTENT) - 1)


def test_a_bomb_is_unpacked_no_further_than_allowed(tmp_path, monkeypatch):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(2**24)))
    unpacked = []
    read = gzip.GzipFile.read

    def counted(self, size=-1):
        chunk = read(self, size)
        unpacked.append(len(chunk))
        return chunk

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(UserError, match="over 0 MB"):
        read_checked(tmp_path / "bomb", 2**17)
    assert sum(unpacked) <= 2**17 + 1


@pytest.mark.parametrize("damage", [lambda c: c[:-12], lambda c: c[:-8] + b"12345678"])
def test_a_damaged_gzip(tmp_path, damage):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(CONTENT)))
    with pytest.raises(UserError, match=r"a\.gz: damaged gzip; fetch the file again"):
        read_checked(tmp_path / "a.gz", 2**20)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, said in [
        (tmp_path / "pipe", "a pipe or a device"),
        (pathlib.Path("/dev/zero"), "a pipe or a device"),
        (tmp_path, "a folder"),
        (tmp_path / "absent", "no such file"),
        (tmp_path / "pipe" / "below", "no such file"),
        (pathlib.Path("a\0b"), "no such file"),
    ]:
        for read in (read_checked, read_start):
            with pytest.raises(UserError, match=said):
                read(path, 100)


def test_a_copy_is_alone_and_goes_away():
    with alone(CONTENT, "image.nrrd") as file:
        assert file.read_bytes() == CONTENT
        assert list(file.parent.iterdir()) == [file]
    assert not file.parent.exists()


def test_a_file_ends_with_its_last_voxel():
    for rest in (b"", b"\0\0", b"\r\n"):
        check_end("a.nii", CONTENT + rest, len(CONTENT))
    with pytest.raises(UserError, match=r"a\.nii: ends before its last voxel"):
        check_end("a.nii", CONTENT[:-1], len(CONTENT))
    with pytest.raises(UserError, match=r"a\.nii: 3 bytes more than its header says"):
        check_end("a.nii", CONTENT + b"\0\0x", len(CONTENT))


def test_text_of_a_file_cannot_command_a_terminal():
    assert printable("a\x1b[31m\nb\u202e") == "a?[31m?b?"
    assert printable("a" * 100_000) == "a" * 60 + "..."
