import errno
import os
import unicodedata

import pytest

from xctrs_tf.data import input_folders
from xctrs_tf.data.input_folders import by_id, existing, existing_folder, file_named, visible_files
from xctrs_tf.errors import UserError

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Jörg") for form in ("NFC", "NFD"))


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_archives_of_a_mac_add_is_left_out(tmp_path):
    touch(
        tmp_path, "a/1.nii", "a/._1.nii", "__MACOSX/a/1.nii", ".cache/1.nii", "b/2.nii", "b/2.txt"
    )
    assert visible_files(tmp_path, "*.nii") == [tmp_path / "a/1.nii", tmp_path / "b/2.nii"]


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "in/a/1.nii", "elsewhere/2.nii")
    (tmp_path / "in/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/c").symlink_to(tmp_path / "in/a")
    (tmp_path / "in/a/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/broken").symlink_to("nowhere")
    found = visible_files(tmp_path / "in", "*.nii")
    assert found == [tmp_path / "in/a/1.nii", tmp_path / "in/b/2.nii"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.nii", "b/2.nii")
    scandir = os.scandir

    def forbidding(path):
        if os.path.basename(path) == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(input_folders.os, "scandir", forbidding)
    unusable = {}
    assert visible_files(tmp_path, "*.nii", unusable) == [tmp_path / "a/1.nii"]
    message = f"{tmp_path / 'b'}: cannot be read (Permission denied); allow it, or move it away"
    assert unusable == {"b": message}
    with pytest.raises(UserError, match="Permission denied"):
        visible_files(tmp_path, "*.nii")
    with pytest.raises(UserError, match="Permission denied"):
        visible_files(tmp_path / "b", "*.nii", {})


def test_a_name_is_found_however_its_letters_are_composed(tmp_path):
    touch(tmp_path, DECOMPOSED)
    assert file_named(tmp_path, COMPOSED) == tmp_path / DECOMPOSED
    touch(tmp_path, "P1_SEG.NII.GZ")
    assert file_named(tmp_path, "p1_seg.nii.gz") == tmp_path / "P1_SEG.NII.GZ"
    assert file_named(tmp_path, "Jürg") == tmp_path / "Jürg"
    touch(tmp_path, COMPOSED)
    with pytest.raises(UserError, match="two files of this name, which differ in case"):
        file_named(tmp_path, COMPOSED)


def test_ids_that_two_paths_have_are_nobody_s(tmp_path):
    unusable = {}
    names = (DECOMPOSED, "P1", "p1", "../p2", "p3")
    assert by_id(((name, tmp_path / name) for name in names), unusable) == {
        COMPOSED: tmp_path / DECOMPOSED,
        "p3": tmp_path / "p3",
    }
    assert (
        unusable["P1"]
        == f"{tmp_path / 'P1'}: id 'P1' is also that of {tmp_path / 'p1'}; rename one"
    )
    assert "id '../p2': no plain file name" in unusable["../p2"]
    assert by_id([(COMPOSED, 1), (DECOMPOSED, 2)], unusable) == {}


def test_paths_that_are_not_utf_8_are_refused_before_a_reader_sees_them(tmp_path):
    name = os.fsdecode(b"p\xff_ct.nii.gz")
    touch(tmp_path, name)
    (tmp_path / os.fsdecode(b"in\xff")).mkdir()
    with pytest.raises(UserError, match="its path is not UTF-8; rename it") as caught:
        existing(tmp_path / name)
    assert str(caught.value).isprintable()
    with pytest.raises(UserError, match="its path is not UTF-8; rename it"):
        existing_folder(tmp_path / os.fsdecode(b"in\xff"))
