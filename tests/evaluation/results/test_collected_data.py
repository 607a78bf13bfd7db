"""Inputs that the runs of one table share beyond their flags: weights of VGG16, data, folds."""

import json

import pytest

from tests.evaluation.run_folders import LINES, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import fold_folders
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.models.catalogue import REFERENCE_ROW


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


def stage(**changes):
    """Return a training on the data of the runs that another one begins with, and its source."""
    fields = {"source": "fold-00-seed-0", "fold": 0, "networks": ["spadrnet"], "steps": 700}
    fields |= {"augment": "mirror", "film_normalization": "percentile"}
    folders = [{"data_sha256": "d" * 64, "split_sha256": "a" * 64}]
    return {**fields, "folders": folders, **changes}


def write_stages(runs, stages):
    """Write runs of folds 0 and 1 that began with these trainings; return their folder."""
    for fold, (line, of_fold) in enumerate(zip(LINES, stages, strict=True)):
        sources = ",".join(f"/runs/f{fold}/{each['source']}" for each in of_fold)
        folder = write_run(runs, "table1-vgg", [line], fold=fold, initial_weights=sources)
        _describe(folder, stages=of_fold)
    return runs / "table1-vgg"


_FOLDERS = [{"data_sha256": "d" * 64, "split_sha256": "b" * 64}]
_OF_FOLD_1 = {"source": "fold-01-seed-0", "fold": 1, "steps": 650, "folders": _FOLDERS}
_PHANTOMS = {"source": "phantoms", "folders": [{"data_sha256": "f" * 64}]}


def test_each_fold_may_begin_with_a_training_of_its_own(tmp_path):
    row = write_stages(tmp_path, [[stage(**_PHANTOMS), stage(**each)] for each in ({}, _OF_FOLD_1)])
    told = "spadrnet augment=mirror film_normalization=percentile data="
    assert collect_runs(tmp_path).settings["initial_weights"] == (
        f"{told}{'f' * 12} steps=700,{told}{'d' * 12}"
    )
    assert len(fold_folders(row)) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (stage(), stage(**_OF_FOLD_1, augment="films")),
        (stage(), stage(**_OF_FOLD_1, film_normalization="equalized")),
        (stage(), stage(**_OF_FOLD_1, networks=["spadrnet", "mulsisnet"])),
        (stage(), stage(**_PHANTOMS)),
        (stage(**_PHANTOMS), stage(**_PHANTOMS, steps=800)),
        (stage(), {"source": "fold-00-seed-0"}),
        ({"source": "a.npz"}, {"source": "b.npz"}),
    ],
)
def test_folds_that_began_with_other_trainings_are_refused(tmp_path, first, second):
    row = write_stages(tmp_path, [[first], [second]])
    with pytest.raises(UserError, match=r"initial_weights is .* and was "):
        collect_runs(tmp_path)
    with pytest.raises(UserError, match="initial_weights of fold-01-seed-0 is not that of fold-00"):
        fold_folders(row)


def test_a_file_of_weights_may_lie_in_several_folders(tmp_path):
    row = write_stages(tmp_path, [[{"source": "a.npz"}]] * 2)
    assert collect_runs(tmp_path).settings["initial_weights"] == "a.npz"
    assert len(fold_folders(row)) == 2


def test_a_patient_of_two_folds_is_refused_in_another_row_too(runs):
    write_run(runs, "table2-sit", LINES, fold=1)
    with pytest.raises(UserError, match=r"table2-sit/fold-01-seed-0: patient a was tested in"):
        collect_runs(runs)
