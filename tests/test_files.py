"""Atomic writing: old or new, never neither; leftovers of kills; the lock of a folder."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from xctrs_tf import files, folder_lock
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path, read_json, remove_leftovers, write_json, write_text

_HOLD = (
    "import pathlib, sys, time\n"
    "from xctrs_tf.folder_lock import folder_lock\n"
    "with folder_lock(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def _folder(path, text):
    path.mkdir(parents=True)
    (path / "file").write_text(text, encoding="utf-8")
    return path


def _text(path):
    return (path / "file").read_text(encoding="utf-8")


def _replace(path, text):
    with atomic_path(path) as temporary:
        _folder(temporary, text)


def _assert_refused(folder, message, beside=False):
    with pytest.raises(UserError, match=message), folder_lock.folder_lock(folder, beside=beside):
        pass


def _without_exchange(monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_replaces_a_folder_and_nothing_else_is_left(tmp_path, monkeypatch, exchange):
    if not exchange:
        _without_exchange(monkeypatch)
    path = _folder(tmp_path / "out", "old")
    _replace(path, "new")
    assert _text(path) == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_one_of_the_folders_has_the_name_at_every_moment(tmp_path):
    path, other = _folder(tmp_path / "out", "old"), _folder(tmp_path / "other", "old")
    if not files._exchange(path, other):
        pytest.skip("this file system cannot exchange two folders in one step")
    seen, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            seen.add(path.exists())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for number in range(50):
            _replace(path, str(number))
    finally:
        ended.set()
        thread.join()
    assert seen == {True}


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    _without_exchange(monkeypatch)
    path = _folder(tmp_path / "out", "old")
    original, calls = os.replace, []

    def fails(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(errno.EIO, "Input/output error")
        original(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="Input/output error"):
        _replace(path, "new")
    assert _text(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_between_two_renames_is_mended_at_the_next_start(tmp_path):
    scratch = _folder(tmp_path / ".out.abcd1234" / "replaced", "old").parent
    _folder(scratch / "out", "new")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert _text(tmp_path / "out") == "old"


def test_leftovers_are_removed_and_nothing_else_is(tmp_path):
    _folder(tmp_path / ".step-00000004.a_cd1234" / "step-00000004", "half")
    (tmp_path / ".manifest.json.abcd1234").mkdir()
    kept = {".git", ".notes.abcd1234", ".x.short", "step-00000004"}
    for name in kept:
        _folder(tmp_path / name, "mine")
    remove_leftovers(tmp_path, name="step-00000004")
    assert {path.name for path in tmp_path.iterdir()} == kept | {".manifest.json.abcd1234"}
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "absent")


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "out", []
    original = os.fsync

    def noted(number):
        synced.append((os.readlink(f"/proc/self/fd/{number}"), path.exists()))
        original(number)

    monkeypatch.setattr(os, "fsync", noted)
    _replace(path, "new")
    assert [os.path.basename(name) for name, there in synced if not there] == ["file", "out"]
    assert synced[-1] == (str(tmp_path), True)


def test_a_folder_without_fsync_is_no_error_but_a_file_is(tmp_path, monkeypatch):
    def fails(number):
        raise OSError(errno.ENOSPC if os.path.isfile(f"/proc/self/fd/{number}") else errno.EINVAL)

    monkeypatch.setattr(os, "fsync", fails)
    with atomic_path(tmp_path / "empty") as temporary:
        temporary.mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_value_is_written_as_lines_of_json(tmp_path):
    write_json(tmp_path / "a.json", {"name": "\u00e4", "sizes": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == '{\n "name": "\\u00e4",\n "sizes": [\n  1\n ]\n}\n'
    write_json(tmp_path / "a.json", {"name": "\u00e4"}, indent=None, ensure_ascii=False)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{"name": "\u00e4"}\n'
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", float("nan"), allow_nan=False)
    assert read_json(tmp_path / "a.json") == {"name": "\u00e4"}


def test_a_second_holder_is_refused_with_folder_and_process(tmp_path):
    folder = tmp_path / "run"
    with folder_lock.folder_lock(folder):
        _assert_refused(folder, f"{folder}: process {os.getpid()} on .* writes to it; wait")
        (folder / "kept").touch()
    assert [path.name for path in folder.iterdir()] == ["kept"]
    with folder_lock.folder_lock(folder):
        pass


def test_the_lock_of_a_killed_process_is_free_and_its_leftovers_go(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert holder.stdout.readline() == "held\n"
    _assert_refused(tmp_path, f"process {holder.pid} on")
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    (tmp_path / ".step.abcd1234").mkdir()
    (tmp_path / "part" / ".file.abcd1234").mkdir(parents=True)
    with folder_lock.folder_lock(tmp_path, "part"):
        assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "part"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["part"]


def test_leftovers_of_what_another_process_still_writes_stay(tmp_path):
    command = [sys.executable, "-c", _HOLD.replace("sys.argv[1]", "sys.argv[1], beside=True")]
    holder = subprocess.Popen([*command, tmp_path / "a"], stdin=-1, stdout=-1, encoding="utf-8")
    assert holder.stdout.readline() == "held\n"
    for name in ("a", "b"):
        (tmp_path / f".{name}.abcd1234").mkdir()
    with folder_lock.folder_lock(tmp_path):
        assert not (tmp_path / ".b.abcd1234").exists()
        assert (tmp_path / ".a.abcd1234").exists()
    holder.kill()
    holder.communicate()
    with folder_lock.folder_lock(tmp_path):
        assert not (tmp_path / ".a.abcd1234").exists()


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path, caplog):
    program = (
        "import sys\n"
        "from xctrs_tf.folder_lock import folder_lock\n"
        "with folder_lock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    input()\n"
        "    print('left', file=open(sys.argv[1] + '/note', 'w'))\n"
    )
    command = [sys.executable, "-c", program, tmp_path]
    holder = subprocess.Popen(command, stdin=-1, stdout=-1, encoding="utf-8")
    assert holder.stdout.readline() == "held\n"
    threading.Timer(0.2, holder.communicate, ["\n"]).start()
    with folder_lock.folder_lock(tmp_path, wait=True):
        assert (tmp_path / "note").read_text(encoding="utf-8") == "left\n"
    assert f"{tmp_path}: waits for process {holder.pid} on" in caplog.text


def test_a_child_that_inherits_the_descriptor_keeps_the_lock(tmp_path):
    with folder_lock.folder_lock(tmp_path) as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, pass_fds=[lock])
        # As a kill would: without the end of the block.
        copy = tmp_path / "lock"
        os.link(tmp_path / ".lock", copy)
    os.rename(copy, tmp_path / ".lock")
    _assert_refused(tmp_path, "writes to it")
    child.communicate(b"\n")
    with folder_lock.folder_lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_beside_a_folder_lets_it_be_replaced(tmp_path):
    (tmp_path / ".out.abcd1234").mkdir()
    (tmp_path / ".other.abcd1234").mkdir()
    with folder_lock.folder_lock(tmp_path / "out", beside=True):
        assert not (tmp_path / "out").exists()
        _replace(tmp_path / "out", "new")
        _assert_refused(tmp_path / "out", "writes to it", beside=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.abcd1234", "out"]


def test_folders_made_for_the_lock_go_if_nothing_was_written(tmp_path):
    with folder_lock.folder_lock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        _assert_refused(path, f"{path}: not a folder")


@pytest.mark.parametrize("function", ["open", "pwrite"])
def test_a_disk_that_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_lock.os, function, full)
    _assert_refused(tmp_path / "run", r"run: cannot be written \(No space left on device\)")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def without(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_lock.fcntl, "flock", without)
    with folder_lock.folder_lock(tmp_path):
        pass
    assert f"{tmp_path}: its file system has no locks" in caplog.text


def test_many_processes_that_come_and_go_never_hold_it_together(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from xctrs_tf.errors import UserError\n"
        "from xctrs_tf.folder_lock import folder_lock\n"
        "held, inside = 0, pathlib.Path(sys.argv[1] + '.inside')\n"
        "while held < 40:\n"
        "    try:\n"
        "        with folder_lock(sys.argv[1]):\n"
        "            inside.touch(exist_ok=False)\n"
        "            inside.unlink()\n"
        "            held += 1\n"
        "    except UserError:\n"
        "        time.sleep(0.001)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "run"]
    children = [subprocess.Popen(command) for _ in range(3)]
    began = time.monotonic()
    while any(child.poll() is None for child in children) and time.monotonic() - began < 120:
        time.sleep(0.01)
    for child in children:
        child.kill()
    assert [child.wait() for child in children] == [0, 0, 0]
    # The folder itself may stay: it was another's when the last process came.
    assert {path.name for path in tmp_path.rglob("*")} <= {"run"}
