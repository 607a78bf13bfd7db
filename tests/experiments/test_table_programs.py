"""Programs that make tables and figures."""

import json
import shutil

import pytest

from tests.data.cases import CONFIGURATION, RECORD, make_case
from tests.evaluation.run_folders import DATA_SHA256, case_line, write_run
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.figures import chart_figures
from xctrs_tf.evaluation.predictions import write_prediction
from xctrs_tf.models.catalogue import REFERENCE_ROW

SIZE = 32


@pytest.fixture
def runs(tmp_path):
    runs = tmp_path / "runs"
    lines = [case_line("a", 22.0), case_line("b", 24.0), case_line("c", 23.0)]
    write_run(runs, REFERENCE_ROW, lines)
    write_run(runs, "table1-vgg", [case_line(each, 21.0, dice=None) for each in "abc"])
    return runs


def test_runs_become_tables_that_are_fresh_until_someone_changes_them(runs, tmp_path):
    output = tmp_path / "deep" / "results"
    finished = run_program("tables", f"--runs={runs}", f"--output={output}", "--nomeasure")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert "| X-CTRSNet | 3 | 23.00 ± 1.00 |" in finished.stdout
    assert str(output / "table3.csv") in finished.stdout
    about = (output / "about.json").read_text(encoding="utf-8")
    assert '"command": "python -m experiments.tables --runs=RUNS --output=results' in about
    assert str(tmp_path) not in about

    assert run_program("tables", "--check", f"--results={output}").returncode == 0
    (output / "table1.md").write_text("90 %", encoding="utf-8")
    finished = run_program("tables", "--check", f"--results={output}")
    assert finished.returncode == 1
    assert finished.stderr == f"stale: {output / 'table1.md'}\n"


def test_runs_that_are_gone_stay_in_the_results_with_keep_alone(runs, tmp_path):
    output = tmp_path / "results"
    flags = (f"--output={output}", "--nomeasure")
    assert run_program("tables", f"--runs={runs}", *flags).returncode == 0
    later = tmp_path / "later"
    write_run(later, "table2-sit", [case_line(each, 21.0, dice=None) for each in "abc"])

    finished = run_program("tables", f"--runs={later}", *flags, "--keep")
    assert (finished.returncode, finished.stderr) == (0, "")
    names = {path.stem for path in (output / "rows").iterdir()}
    assert names == {REFERENCE_ROW, "table1-vgg", "table2-sit", "mean-volume"}
    assert "| X-CTRSNet | 3 | 23.00 ± 1.00 |" in finished.stdout

    finished = run_program("tables", f"--runs={later}", *flags)
    assert finished.returncode == 0
    assert finished.stderr == (
        f"WARNING: {output}: 2 evaluated runs in it are not in --runs and were removed, "
        "table1-vgg (fold 0, seed 0) first; --keep keeps them\n"
    )
    assert {path.stem for path in (output / "rows").iterdir()} == {"table2-sit", "mean-volume"}


def test_nothing_is_kept_of_a_folder_without_results(runs, tmp_path):
    output = tmp_path / "resluts"
    flags = (f"--runs={runs}", f"--output={output}", "--nomeasure", "--keep")
    finished = run_program("tables", *flags)
    told = f"error: --output={output}: holds no results to keep; name their folder, or leave out"
    assert_refused(finished, told, output)


def test_committed_tables_and_documents_are_those_of_their_figures():
    finished = run_program("tables", "--check")
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "flags", "error"),
    [
        ("tables", [], "error: --runs is missing: both --runs and --output, or --check"),
        ("tables", ["--runs=absent", "--output=x"], "error: --runs=absent: no such folder"),
        ("figures", ["--runs=absent"], "error: --output is missing: name a folder"),
        ("figures", ["--output=b"], "error: --runs is missing: name a folder"),
        ("figures", ["--runs=a", "--results=a", "--output=b"], "error: --results: not beside"),
        ("figures", ["--results=a", "--output=b"], "error: --which=fig5: needs --runs"),
        ("figures", ["--runs=a", "--output=b", "--which=fig9"], "error: --which=fig9: must be of"),
        ("studies.robustness", ["--output=x"], "error: --workdir is missing: name a run"),
        (
            "studies.robustness",
            ["--workdir=absent", "--output=x"],
            "error: --workdir=absent: neither a run of experiments.train nor a folder of its folds",
        ),
    ],
)
def test_mistakes_are_one_line(program, flags, error):
    finished = run_program(program, *flags)
    assert finished.returncode == 2
    assert finished.stderr.startswith(error)
    assert finished.stderr.count("\n") == 1


def test_the_vertebrae_are_drawn_where_the_runs_are_gone(runs, tmp_path):
    results, output = tmp_path / "results", tmp_path / "figures"
    assert not run_program(
        "tables", f"--runs={runs}", f"--output={results}", "--nomeasure"
    ).returncode
    shutil.rmtree(runs)
    flags = (f"--results={results}", f"--output={output}", "--which=vertebrae")
    finished = run_program("figures", *flags)
    assert finished.returncode == 0, finished.stderr
    assert [path.name for path in output.iterdir()] == ["vertebrae.png"]


@pytest.mark.parametrize("which", ["fig6", "fig7"])
def test_a_fold_without_an_evaluated_run_has_no_figures(runs, tmp_path, which):
    flags = (f"--runs={runs}", f"--output={tmp_path / 'figures'}", f"--which={which}", "--fold=3")
    finished = run_program("figures", *flags)
    assert finished.returncode == 2
    told = "no evaluated run of fold 3 and seed 0; name others with --fold and --seed"
    assert finished.stderr == f"error: --runs={runs}: {told}\n"


def test_rows_of_table_3_alone_have_no_picture_of_reconstructions(tmp_path):
    runs = tmp_path / "runs"
    write_run(runs, "table3-dsn", [case_line("a")])
    flags = (f"--runs={runs}", f"--output={tmp_path / 'figures'}", "--which=fig6")
    finished = run_program("figures", *flags)
    assert finished.returncode == 2
    told = "no run of Table 1 or 2; leave fig6 out of --which"
    assert finished.stderr == f"error: --runs={runs}: {told}\n"


def write_data(folder, first=0):
    """Write a data folder of patients a to f; ``first`` is the seed of the first one."""
    writer = DatasetWriter(folder, {**CONFIGURATION, "size": SIZE})
    for number, name in enumerate("abcdef", first):
        writer.add(make_case(name, number, SIZE), RECORD)
    writer.finalise([["a", "b", "c"], ["d", "e", "f"]], [])
    return folder


def set_data(runs, data):
    """Make runs of `write_run` those of a data folder."""
    found = open_dataset(data).content_hash()
    for name in ("config.json", "cases.json"):
        for path in runs.rglob(name):
            path.write_text(path.read_text("utf-8").replace(DATA_SHA256, found), encoding="utf-8")


@pytest.mark.parametrize("which", ["fig5", "fig6", "fig7"])
def test_patients_of_other_data_with_the_same_ids_are_not_drawn(runs, tmp_path, which):
    set_data(runs, write_data(tmp_path / "data"))
    other, output = write_data(tmp_path / "other", first=10), tmp_path / "figures"
    flags = (f"--runs={runs}", f"--output={output}", f"--which={which}", "--patients=a")
    finished = run_program("figures", *flags, f"--data={other}")
    assert finished.returncode == 2 and not list(output.glob("*.png"))
    told = f"{other}: not the data that the runs of {runs} were tested on; name a copy of these"
    assert finished.stderr == f"error: {told} with --data\n"


def test_curves_are_those_of_the_evaluated_runs(runs, tmp_path, monkeypatch):
    def write_history(folder, step):
        row = {"step": step, "kind": "validation", "psnr": 20.0}
        (folder / "history.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")

    write_history(runs / REFERENCE_ROW / "fold-00-seed-0", 7)
    unfinished = runs / REFERENCE_ROW / "fold-01-seed-0"
    unfinished.mkdir()
    write_history(unfinished, 3)
    drawn = []
    monkeypatch.setattr(chart_figures, "curves_figure", lambda path, *args: drawn.append(args[0]))
    finished = run_program("figures", f"--runs={runs}", f"--output={tmp_path}", "--which=curves")
    assert finished.returncode == 0, finished.stderr
    (history,) = drawn[0][REFERENCE_ROW]
    assert [row["step"] for row in history] == [7]


def test_figures_are_drawn_from_saved_predictions(runs, tmp_path):
    data = write_data(tmp_path / "data")
    set_data(runs, data)
    for row in (REFERENCE_ROW, "table1-vgg"):
        folder = runs / row / "fold-00-seed-0" / "evaluation" / "predictions"
        folder.mkdir()
        case = make_case("c", 2, SIZE)
        labels = case.segmentation if row == REFERENCE_ROW else None
        # Patient c has the median PSNR; only their prediction is needed.
        write_prediction(folder, "c", normalise_hu(case.ct), labels)
    output = tmp_path / "figures"
    which = "--which=fig6,fig7,vertebrae,curves"
    finished = run_program(
        "figures", f"--runs={runs}", f"--output={output}", f"--data={data}", which
    )
    assert finished.returncode == 0, finished.stderr
    names = {path.name for path in output.iterdir()}
    assert names == {"fig6.png", "fig7.png", "vertebrae.png", "curves.png"}
    finished = run_program(
        "figures", f"--runs={runs}", f"--output={output}", f"--data={data}", "--which=fig6",
        "--patients=a",
    )  # fmt: skip
    assert finished.returncode == 2
    assert "a.npz: missing; run experiments.evaluate with --save_predictions" in finished.stderr
    # A training patient, and none at all.
    for patient in ("d", "g"):
        for which in ("fig5", "fig6"):
            finished = run_program(
                "figures", f"--runs={runs}", f"--output={output}", f"--data={data}",
                f"--which={which}", f"--patients={patient}",
            )  # fmt: skip
            assert finished.returncode == 2
            assert finished.stderr == (
                f"error: --patients={patient}: no test patient of fold 0; these are a, b, c\n"
            )
