import json
import pathlib
import shutil

import pytest

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.generated_tables import NOT_RUN, check_tables, fill, write_tables
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import write_results
from xctrs_tf.files import read_csv, read_json, write_csv
from xctrs_tf.models.catalogue import REFERENCE_ROW

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = """Before.

<!-- table results/table2 -->
old
<!-- end -->

Between.

<!-- table results/absent/table1 -->
<!-- end -->
After.
"""


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "runs", REFERENCE_ROW, [case_line("a", 22.0), case_line("b", 24.0)])
    folder = tmp_path / "results"
    folder.mkdir()
    write_results(folder, (results := collect_runs(tmp_path / "runs")), {
        "data_hash": results.data_hash
    })  # fmt: skip
    write_tables(folder)
    return folder


def test_every_table_is_written(folder):
    names = {path.name for path in folder.iterdir()}
    tables = {f"table{n}.{kind}" for n in (1, 2, 3) for kind in ("md", "tex", "csv")}
    # There is nothing to compare X-CTRSNet with, so there are no answers.
    assert names == tables | {"summary.md", "training.md", "about.json", "rows"}


def test_fresh_tables_are_not_stale(folder, tmp_path):
    assert check_tables([folder], [], tmp_path) == []


@pytest.mark.parametrize("name", ["table1.md", "table3.tex", "table2.csv", "summary.md"])
def test_a_table_changed_by_hand_is_stale_until_rewritten(folder, tmp_path, name):
    path = folder / name
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "9", encoding="utf-8")
    assert check_tables([folder], [], tmp_path) == [path]
    assert check_tables([folder], [], tmp_path, write=True) == []
    assert path.read_text(encoding="utf-8") == before


LEFT_OVER = ("answers.md", "answers_short.md", "robustness.md", "protocols.md")


def test_tables_of_other_runs_are_stale_until_removed(folder, tmp_path):
    for name in (*LEFT_OVER, "search.md"):
        (folder / name).write_text("of other runs", encoding="utf-8")
    assert check_tables([folder], [], tmp_path) == [folder / name for name in LEFT_OVER]
    assert check_tables([folder], [], tmp_path, write=True) == []
    assert not any((folder / name).exists() for name in LEFT_OVER)
    assert check_tables([folder], [], tmp_path) == []
    # What no table is made of is not ours.
    assert (folder / "search.md").is_file()


def test_writing_tables_removes_those_of_other_runs(folder):
    for name in LEFT_OVER:
        (folder / name).write_text("of other runs", encoding="utf-8")
    written = write_tables(folder)
    assert not any((folder / name).exists() for name in LEFT_OVER)
    assert all(path.is_file() for path in written)


def test_figures_changed_after_the_tables_make_them_stale(folder, tmp_path):
    rows = folder / "rows" / f"{REFERENCE_ROW}.csv"
    rows.write_text(
        rows.read_text(encoding="utf-8").replace("24.000000", "26.000000"), encoding="utf-8"
    )
    stale = {path.name for path in check_tables([folder], [], tmp_path)}
    assert {"table1.md", "table2.tex", "summary.md"} <= stale
    # Table 3 has no PSNR.
    assert "table3.md" not in stale


def test_documents_hold_the_tables_between_their_markers(folder, tmp_path):
    document = tmp_path / "document.md"
    document.write_text(DOCUMENT, encoding="utf-8")
    documents = [document, tmp_path / "absent.md"]
    assert check_tables([folder], documents, tmp_path) == [document]
    assert document.read_text(encoding="utf-8") == DOCUMENT
    assert check_tables([folder], documents, tmp_path, write=True) == []
    text = document.read_text(encoding="utf-8")
    assert (folder / "table2.md").read_text(encoding="utf-8") in text
    assert f"absent/table1 -->\n\n{NOT_RUN}\n<!-- end -->\nAfter." in text
    assert text.startswith("Before.\n") and "\nBetween.\n" in text and "\nold\n" not in text
    assert fill(text, tmp_path) == text


@pytest.mark.parametrize(("told", "known"), [({"trained_on": None}, False), ({}, True)])
def test_rows_that_may_have_seen_the_test_patients_are_named(tmp_path, told, known):
    lines = [case_line("a", 22.0), case_line("b", 24.0)]
    write_run(tmp_path / "runs", "table1-spadrnet", lines, origin={"trained_on": 0})
    write_run(tmp_path / "runs", "table1-vgg", lines, origin=told)
    (tmp_path / "results").mkdir()
    results = collect_runs(tmp_path / "runs")
    write_results(tmp_path / "results", results, {"data_hash": results.data_hash})
    note = "Whether test patients were trained on is not known of: SpaDRNet + VGG."
    texts = {path.name: path.read_text("utf-8") for path in write_tables(tmp_path / "results")}
    names = ("summary.md", "table1.md", "table1.tex", "answers.md", "answers_short.md")
    assert [note in texts[name] for name in names] == [not known] * 5


def test_costs_of_other_networks_are_refused(folder, tmp_path):
    (folder / "complexity.json").write_text(
        '{"size": 64, "width": 0.5, "networks": {}}', encoding="utf-8"
    )
    with pytest.raises(UserError, match="of another size than the runs; collect them again"):
        check_tables([folder], [], tmp_path)


@pytest.mark.parametrize("study", ["robustness", "protocols"])
@pytest.mark.parametrize("changes", [{"data_hash": "d" * 64}, {"steps": [2240, 2240, 2240]}])
def test_a_study_of_other_runs_is_refused(tmp_path, study, changes):
    folder = tmp_path / "results"
    shutil.copytree(ROOT / "experiments/results/openkbp32x3", folder)
    write_tables(folder)
    path = folder / f"{study}.json"
    path.write_text(json.dumps(read_json(path) | changes), encoding="utf-8")
    with pytest.raises(
        UserError, match=rf"{study}.csv: of other runs .* experiments.studies.{study}"
    ):
        write_tables(folder)


@pytest.mark.parametrize("study", ["robustness", "protocols"])
def test_a_study_of_networks_that_were_trained_again_is_refused(tmp_path, study):
    folder = tmp_path / "results"
    shutil.copytree(ROOT / "experiments/results/openkbp32x3", folder)
    for name in {"robustness", "protocols"} - {study}:
        (folder / f"{name}.csv").unlink()
    path = folder / "rows" / f"{REFERENCE_ROW}.csv"
    lines = read_csv(path)
    for line in lines:
        line["psnr"] = f"{float(line['psnr']) + 0.2:.6f}"
    write_csv(path, lines)
    with pytest.raises(UserError, match=rf"{study}.csv: of other runs than those of this folder"):
        write_tables(folder)


def test_a_folder_without_results(tmp_path):
    with pytest.raises(UserError, match=r"about.json: missing; make the folder"):
        check_tables([tmp_path], [], tmp_path)
    (tmp_path / "about.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(UserError, match="not of format xctrs-results/1"):
        check_tables([tmp_path], [], tmp_path)
