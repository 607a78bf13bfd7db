"""Search and loading of exported models, whole and damaged."""

import shutil

import pytest

from tests.export.runs import toy_run
from xctrs_tf.errors import UserError
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.reconstruction.exported_model import find_export


def truncate(file):
    file.write_bytes(file.read_bytes()[:-200])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return export_run(toy_run(folder / "run"), folder / "models")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: truncate(folder / "saved_model.pb"),
        lambda folder: truncate(folder / "variables" / "variables.index"),
        lambda folder: (folder / "variables" / "variables.index").unlink(),
        lambda folder: (folder / "variables" / "variables.data-00000-of-00001").unlink(),
    ],
)
def test_a_damaged_saved_model(exported, tmp_path, spoil):
    spoil(shutil.copytree(exported, tmp_path / "models" / "1"))
    with pytest.raises(UserError, match=r"models/1: damaged; run experiments.export again"):
        find_export(tmp_path / "models").load()


def test_no_export(tmp_path):
    with pytest.raises(UserError, match="absent: no exported model; make one with"):
        find_export(tmp_path / "absent")
    (tmp_path / "3").mkdir()
    with pytest.raises(UserError, match="3: no exported model; make one with"):
        find_export(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "xctrs-export/0"}', None])
def test_metadata_that_cannot_be_read(tmp_path, content):
    (tmp_path / "1" / "assets.extra").mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    if content is not None:
        (tmp_path / "1" / "assets.extra" / "metadata.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"metadata.json: missing, or not of format xctrs-export/2"):
        find_export(tmp_path)
