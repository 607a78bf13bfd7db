"""Folder of what JAX compiles: private, limited, and named by the user if they want."""

import logging
import os
import stat

import pytest

from xctrs_tf.training.jax import compilation
from xctrs_tf.training.jax.compilation import keep_compilations

FOLDER = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Environment of a user with a home folder and no settings."""
    values = {"HOME": str(tmp_path / "home")}
    monkeypatch.setattr(compilation.os, "environ", values)
    return values


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("xdg", [None, "relative"])
def test_it_is_a_private_folder_of_the_user(environment, tmp_path, xdg):
    if xdg:
        environment["XDG_CACHE_HOME"] = xdg
    keep_compilations()
    folder = tmp_path / "home/.cache/xctrs_tf/jax"
    assert environment[FOLDER] == str(folder)
    assert mode(folder) == mode(folder.parent) == 0o700


def test_the_cache_home_moves_it(environment, tmp_path):
    environment["XDG_CACHE_HOME"] = str(tmp_path / "caches")
    keep_compilations()
    assert environment[FOLDER] == str(tmp_path / "caches/xctrs_tf/jax")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("named", ["/elsewhere", ""])
def test_variables_of_jax_have_precedence(environment, tmp_path, named):
    environment |= {FOLDER: named, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "2"}
    before = dict(environment)
    keep_compilations()
    assert environment == before
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("place", ["xctrs_tf", "xctrs_tf/jax"])
@pytest.mark.parametrize("kind", [0o770, 0o707, "file", "link"])
def test_a_folder_that_others_can_write_to_is_not_used(environment, tmp_path, caplog, place, kind):
    path = tmp_path / "home/.cache" / place
    path.parent.mkdir(parents=True, mode=0o700)
    if kind == "file":
        path.touch()
    elif kind == "link":
        (tmp_path / "other").mkdir()
        path.symlink_to(tmp_path / "other")
    else:
        path.mkdir()
        path.chmod(kind)
    with caplog.at_level(logging.WARNING):
        keep_compilations()
    assert FOLDER not in environment
    assert len(caplog.messages) == 1 and FOLDER in caplog.messages[0]


def test_only_the_oldest_files_beyond_the_limit_are_removed(environment, tmp_path):
    folder = tmp_path / "home/.cache/xctrs_tf/jax"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    for age, name in enumerate(["new-cache", "middle-cache", "old-cache", "oldest.txt"]):
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    keep_compilations(limit_bytes=250)
    assert sorted(path.name for path in folder.iterdir()) == [
        "middle-cache",
        "new-cache",
        "oldest.txt",
    ]
