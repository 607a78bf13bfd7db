"""Search and loading of exported models, whole and damaged."""

import gc
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.export.runs import SIZE, toy_run
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.garbage import gc_paused
from xctrs_tf.reconstruction import export_files
from xctrs_tf.reconstruction.export_files import CHECKSUMS, CLASSES, METADATA, model_sha256
from xctrs_tf.reconstruction.exported_model import (
    DEFAULT_SIGNATURE,
    Export,
    find_export,
    plain_graphs,
)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-200])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return export_run(toy_run(folder / "run"), folder / "models")


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "models" / "1")


def test_the_garbage_collector_runs_again_after_a_pause():
    with pytest.raises(KeyError), gc_paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def change_metadata(folder, **changes):
    file = folder / METADATA
    metadata = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps(metadata), encoding="utf-8")


def make_older(folder):
    """Make an export as versions without checksums wrote it."""
    (folder / CHECKSUMS).unlink()
    change_metadata(folder, checksums=None)


VARIABLES = "variables/variables.data-00000-of-00001"
SPOILED = {
    "saved_model.pb": truncate,
    "variables/variables.index": truncate,
    VARIABLES: pathlib.Path.unlink,
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_damaged_file_is_named(copy, name):
    SPOILED[name](copy / name)
    with pytest.raises(UserError, match=rf"models/1/{name}: (changed since the export|missing); f"):
        find_export(copy.parent).load()


@pytest.mark.parametrize("name", SPOILED)
def test_a_damaged_export_of_an_earlier_version(copy, name):
    make_older(copy)
    SPOILED[name](copy / name)
    with pytest.raises(UserError, match=r"models/1: damaged \(.*\); run experiments.export again"):
        find_export(copy.parent).load()


def test_an_export_of_an_earlier_version_is_loaded(copy):
    pin = model_sha256(copy)
    make_older(copy)
    assert find_export(copy).load(model_sha256(copy)) is not None
    assert model_sha256(copy) != pin


def test_one_flipped_bit_is_found(copy):
    content = bytearray((copy / "saved_model.pb").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "saved_model.pb").write_bytes(content)
    with pytest.raises(UserError, match=r"saved_model.pb: changed since the export"):
        find_export(copy).load()


def test_the_list_of_checksums(copy):
    lines = (copy / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    names = [line.split("  ")[1] for line in lines]
    assert names == sorted(names)
    assert {METADATA, "saved_model.pb", VARIABLES} <= set(names)
    for line in lines:
        digest, name = line.split("  ")
        assert digest == hashlib.sha256((copy / name).read_bytes()).hexdigest()
    # As `sha256sum assets.extra/SHA256SUMS` prints it.
    assert model_sha256(copy) == hashlib.sha256((copy / CHECKSUMS).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / CHECKSUMS).unlink(), "SHA256SUMS: missing or damaged"),
        (
            lambda folder: (folder / CHECKSUMS).write_bytes(b"\xff"),
            "SHA256SUMS: missing or damaged",
        ),
        (lambda folder: (folder / CHECKSUMS).write_bytes(b""), ": no part of the export"),
        (
            lambda folder: (folder / "saved_model.cpb").touch(),
            "saved_model.cpb: no part of",
        ),
        (lambda folder: os.mkfifo(folder / "variables/pipe"), "pipe: a pipe or a device; name a f"),
        (lambda folder: change_metadata(folder, spacing_mm=3.0), "metadata.json: changed since"),
    ],
)
def test_other_changes_of_an_export(copy, spoil, message):
    spoil(copy)
    with pytest.raises(UserError, match=message):
        find_export(copy).load()


def test_hidden_files_are_no_part_of_an_export(copy):
    (copy / ".DS_Store").touch()
    (copy / "variables" / "._variables.index").touch()
    find_export(copy).load()


def test_no_permission_is_told(copy, monkeypatch):
    def refuse(file):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(export_files, "sha256_of", refuse)
    with pytest.raises(UserError, match=r"models/1/.*: cannot be read \(Permission denied\)"):
        find_export(copy).load()


@pytest.mark.parametrize("name", ["model [fold 0]*?", "not UTF-8 \udcff"])
def test_odd_paths_of_a_model(exported, tmp_path, name):
    folder = shutil.copytree(exported, tmp_path / name / "1")
    signature = find_export(folder.parent).load()
    films = {view: np.zeros((1, SIZE, SIZE, 1), np.float32) for view in ("ap", "la")}
    assert np.asarray(signature(**films)["ct"]).shape == (1, SIZE, SIZE, SIZE, 1)


def test_no_export(tmp_path):
    with pytest.raises(UserError, match="absent: no exported model; make one with"):
        find_export(tmp_path / "absent")
    (tmp_path / "3").mkdir()
    with pytest.raises(UserError, match="3: no exported model; make one with"):
        find_export(tmp_path)


DEEP = "[" * 100_000


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "xctrs-export/0"}', DEEP, None])
def test_metadata_that_cannot_be_read(tmp_path, content):
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    if content is not None:
        (tmp_path / "1" / METADATA).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"metadata.json: missing, or not of format xctrs-export/2"):
        find_export(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("size", value) for value in (0, -32, 33, 10**9, 32.0, "32", None, [32], True)),
        *(("window_hu", value) for value in ([5, 5], [1500, -1000], [-1000], None, "ab", [0, 1])),
        *(("window_hu", value) for value in ([-1000, float("nan")], [float("-inf"), 1500])),
        *(("window_hu", value) for value in ([-(10**400), 10**400], [-1000, "1500"])),
        *(("spacing_mm", value) for value in (0, -1, 1e-30, float("nan"), float("inf"), "2", [2])),
        *(("classes", value) for value in ([], ["background"], "C1", 8, [*CLASSES, "C8"])),
        *(("frame", value) for value in ("RAS", None, 7)),
        *(("precision", value) for value in ("int8", None, ["bfloat16"])),
        ("fpmath", "tf32"),
        *(("quality", value) for value in ([], "pass", {}, {"format": "xctrs-quality/1"})),
    ],
)
def test_a_field_that_no_export_has_is_named(copy, field, value):
    change_metadata(copy, **{field: value})
    with pytest.raises(UserError, match=rf"metadata.json: {field}\b"):
        find_export(copy)


def runs_plain_graphs():
    return tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)


def test_a_loaded_model_runs_its_graph_as_it_is(exported, monkeypatch):
    seen = []
    signatures = {DEFAULT_SIGNATURE: lambda **_: seen.append(runs_plain_graphs())}
    monkeypatch.setattr(Export, "load_signatures", lambda *_: signatures)
    find_export(exported).load()(ap=None, la=None)
    assert seen == [True] and not runs_plain_graphs()


def test_the_last_of_several_callers_resets_how_graphs_run():
    # As threads do it: the first to come is the first to go.
    first, second = plain_graphs(), plain_graphs()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert runs_plain_graphs()
    second.__exit__(None, None, None)
    assert not runs_plain_graphs()
