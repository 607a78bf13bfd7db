import json
import subprocess
import sys
import types

import keras
import pytest

from xctrs_tf import provenance


def test_records_command_commit_machine_and_versions():
    origin = provenance.collect(n=7, seed=3, data_hash="abc", fold=2)
    assert json.loads(json.dumps(origin)) == origin
    assert list(origin) == [
        "command",
        "commit",
        "date",
        "machine",
        "versions",
        "n",
        "seed",
        "data_hash",
        "fold",
    ]
    assert (origin["n"], origin["seed"], origin["data_hash"], origin["fold"]) == (7, 3, "abc", 2)
    assert {"python", "numpy", "keras"} <= origin["versions"].keys()


def test_machine_tells_how_many_cores_were_used(monkeypatch):
    monkeypatch.setattr(provenance.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(provenance.os, "sched_getaffinity", lambda process: set(range(8)))
    assert ", 8 logical cores, " in provenance.collect(1, 0, "")["machine"]
    monkeypatch.setattr(provenance.os, "sched_getaffinity", lambda process: {5})
    assert ", 8 logical cores, 1 used, " in provenance.collect(1, 0, "")["machine"]


def test_machine_names_the_accelerator_of_jax(monkeypatch):
    kinds = [("gpu", "NVIDIA H100 80GB HBM3"), ("cpu", "cpu")]
    devices = [types.SimpleNamespace(platform=where, device_kind=kind) for where, kind in kinds]
    jax = types.SimpleNamespace(__name__="jax", local_devices=lambda: devices)
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert provenance.collect(1, 0, "")["machine"].endswith(", Linux, NVIDIA H100 80GB HBM3")


def test_machine_names_the_accelerator_of_tensorflow(monkeypatch):
    import tensorflow as tf

    assert provenance.accelerators() == []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["/GPU:0"])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "NVIDIA A100"}
    )
    assert provenance.accelerators() == ["NVIDIA A100"]


def test_command_is_the_command_line(tmp_path):
    program = tmp_path / "report.py"
    program.write_text(
        "from xctrs_tf import provenance\nprint(provenance.collect(1, 0, '')['command'])\n",
        encoding="utf-8",
    )
    typed = ["-m", "report", "--name=two words"]
    finished = subprocess.run(
        [sys.executable, *typed],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={"PYTHONPATH": f"{provenance._ROOT}:{tmp_path}"},
    )
    assert finished.stdout.strip() == "python -m report '--name=two words'"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Git checkout of one file in place of the project; the fixture is the function `git`."""

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments],
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout.strip()

    git("init")
    (tmp_path / "file").write_text("a", encoding="utf-8")
    git("add", "file")
    git("commit", "-m", "first")
    git("tag", "v1")
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    return git


def test_commit_of_a_clean_checkout(checkout):
    assert provenance.collect(1, 0, "")["commit"] == checkout("rev-parse", "HEAD")


def test_commit_of_a_changed_checkout_is_marked_dirty(checkout, tmp_path):
    (tmp_path / "file").write_text("b", encoding="utf-8")
    expected = checkout("rev-parse", "HEAD") + "-dirty"
    assert provenance.collect(1, 0, "")["commit"] == expected


def test_no_commit_outside_a_checkout(checkout, tmp_path, monkeypatch):
    # The package is installed inside the checkout of another project.
    inside = tmp_path / "site-packages"
    inside.mkdir()
    monkeypatch.setattr(provenance, "_ROOT", inside)
    assert provenance.collect(1, 0, "")["commit"] is None
