"""Inputs that the runs of one table share beyond their flags: weights of VGG16, data, folds."""

import json

import pytest

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.models.catalogue import REFERENCE_ROW

LINES = [case_line("a", 22.0), case_line("b", 24.0)]


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs", REFERENCE_ROW, LINES)
    return tmp_path / "runs"


def _describe(folder, **fields):
    path = folder / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, **fields}), encoding="utf-8")


def test_other_vgg_weights_are_refused(runs):
    write_run(runs, "table1-vgg", LINES, vgg_weights="random")
    with pytest.raises(UserError, match="random_vgg_weights is False and was True"):
        collect_runs(runs)


def test_files_of_vgg_weights_are_compared_where_both_are_known(runs):
    folder = write_run(runs, "table1-vgg", LINES, vgg_weights="/here/weights.h5")
    _describe(folder, vgg_weights_sha256="a" * 64)
    collect_runs(runs)
    _describe(runs / REFERENCE_ROW / "fold-00-seed-0", vgg_weights_sha256="b" * 64)
    with pytest.raises(UserError, match="vgg_weights_sha256 is bbbb"):
        collect_runs(runs)


def test_another_mixture_of_data_is_refused(runs):
    folder = write_run(runs, "table2-sit", LINES)
    told = [{"data_sha256": "d" * 64}, {"data_sha256": "e" * 64, "share": 0.5}]
    _describe(folder, folders=told)
    with pytest.raises(UserError, match="further_data is "):
        collect_runs(runs)


def test_a_patient_of_two_folds_is_refused_in_another_row_too(runs):
    write_run(runs, "table2-sit", LINES, fold=1)
    with pytest.raises(UserError, match=r"table2-sit/fold-01-seed-0: patient a was tested in"):
        collect_runs(runs)
