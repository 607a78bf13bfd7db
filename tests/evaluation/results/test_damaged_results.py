"""Damaged files of runs and of folders of results."""

import json

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import read_results, write_results
from xctrs_tf.models.catalogue import REFERENCE_ROW

_DEEP = b"[" * 10**5
_OF_A_RUN = ["config.json", "best/state.json", "evaluation/cases.json"]


@pytest.mark.parametrize("name", _OF_A_RUN)
@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b'{"step": ', b"\xff", b"[" * 10**5]
)
def test_a_damaged_file_of_a_run_is_one_line_that_names_it(runs, name, content):
    file = runs / REFERENCE_ROW / "fold-00-seed-0" / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}:? .*(damaged|is not a run's configuration)"):
        collect_runs(runs)


@pytest.mark.parametrize("name", ["cases.csv", "baselines.csv"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.splitlines()[0] + "\n",
        lambda text: text[:-40],
        lambda text: text.replace("0.600000", "0.6O", 1),
        lambda text: text.replace("0.600000", "0.6,1.0", 1),
        lambda text: text.replace("id", "name", 1),
    ],
)
def test_a_damaged_table_of_a_run_is_one_line_that_names_it(runs, name, damage):
    file = runs / REFERENCE_ROW / "fold-00-seed-0" / "evaluation" / name
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=f"{name}: damaged .* run experiments.evaluate again"):
        collect_runs(runs)


def test_an_evaluation_that_lost_whole_lines_is_refused(runs):
    file = runs / REFERENCE_ROW / "fold-00-seed-0" / "evaluation" / "cases.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(UserError, match=r"cases.csv: 1 of 2 patients; run experiments.evaluate"):
        collect_runs(runs)


def test_a_damaged_record_of_a_job_is_a_warning(runs, caplog):
    record = runs / REFERENCE_ROW / "fold-00-seed-0.json"
    record.write_text("[]", encoding="utf-8")
    assert collect_runs(runs).rows[REFERENCE_ROW].status == "evaluated"
    assert f"{record}: damaged" in caplog.text


def test_a_row_that_has_figures_but_is_lost_from_the_record_is_damage(runs, tmp_path):
    results = collect_runs(runs)
    write_results(tmp_path, results, {"data_hash": results.data_hash})
    about = json.loads((tmp_path / "about.json").read_text(encoding="utf-8"))
    for row in ("table2-psr", REFERENCE_ROW):
        del about["rows"][row]
        (tmp_path / "about.json").write_text(json.dumps(about), encoding="utf-8")
        if row == "table2-psr":
            # Without figures it may be one that the catalogue got later.
            assert read_results(tmp_path) == results
    lost = f"damaged .about.json lacks {REFERENCE_ROW}, whose figures are in rows/"
    with pytest.raises(UserError, match=lost):
        read_results(tmp_path)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'{"format": "xctrs-results/1"}', b"{"])
@pytest.mark.parametrize("name", ["about.json", "complexity.json"])
def test_damaged_results_are_one_line(runs, tmp_path, name, content):
    folder = tmp_path / "results"
    folder.mkdir()
    results = collect_runs(runs)
    write_results(folder, results, {"data_hash": results.data_hash})
    (folder / name).write_bytes(content)
    if (name, content[:9]) == ("complexity.json", b'{"format"'):
        return  # A dict is read, and refused by the tables.
    with pytest.raises(UserError, match=r"results: damaged|not of format"):
        read_results(folder)
