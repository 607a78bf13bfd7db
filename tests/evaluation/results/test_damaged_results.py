"""Damaged files of runs and of folders of results: one line or a warning, nothing else."""

import json
import random

import pytest

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.generated_tables import generated_tables
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import read_results, write_results
from xctrs_tf.models.catalogue import REFERENCE_ROW
from xctrs_tf.training import checkpoints
from xctrs_tf.training.history import read_history

_VALUES = (None, True, -1, 2**70, 0.5, float("nan"), "", "text", [], [None], {}, {"a": 1})
_BYTES = (b"", b"null", b"\0" * 40, b"\xff\xfe", b"[" * 100_000, b"{}", b"[]", b'"', b"1e999")
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


def _damaged(content, rng):
    """Return the content with a value, a key, or some bytes changed."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_BYTES)
    if kind == 1:
        return content[: rng.randrange(len(content))]
    if kind == 2:
        place = rng.randrange(len(content))
        return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
    try:
        value = json.loads(content)
    except ValueError:  # A CSV or a file of several lines.
        lines = content.splitlines(keepends=True)
        rng.shuffle(lines)
        return b"".join(lines[: rng.randrange(len(lines) + 1)])
    _change(value, rng)
    return json.dumps(value).encode()


def _change(value, rng):
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = rng.choice(keys)
    if isinstance(value[key], (dict, list)) and value[key] and rng.random() < 0.7:
        _change(value[key], rng)
    elif isinstance(value, dict) and rng.random() < 0.3:
        del value[key]
    else:
        value[key] = rng.choice(_VALUES)


def _use(runs, results):
    """Read everything as the programs do."""
    job = Job(runs, REFERENCE_ROW, 0, 0, ())
    job.state()
    read_history(job.folder)
    checkpoints.read_state(job.folder / "best")
    checkpoints.latest(job.folder)
    for read, folder in (
        (collect_runs, runs),
        (read_results, results),
        (generated_tables, results),
    ):
        try:
            read(folder)
        except UserError as error:
            assert str(error).strip()


@pytest.mark.parametrize("number", [60, pytest.param(6000, marks=pytest.mark.soak)])
def test_damaged_files_are_told_in_words(tmp_path, number):
    runs, results = tmp_path / "runs", tmp_path / "results"
    folder = write_run(runs, REFERENCE_ROW, [case_line("a", 22.0), case_line("b", 24.0)])
    record = {"status": "done", "commands": ["python"], "seconds": 1.5, "peak_memory_bytes": 9}
    folder.with_name(f"{folder.name}.json").write_text(json.dumps(record), encoding="utf-8")
    results.mkdir()
    collected = collect_runs(runs)
    write_results(results, collected, {"data_hash": collected.data_hash})
    files = sorted(
        path for path in tmp_path.rglob("*") if path.suffix in (".json", ".jsonl", ".csv")
    )
    rng = random.Random(7)
    for turn in range(number):
        path = rng.choice(files)
        before = path.read_bytes()
        path.write_bytes(_damaged(before, rng))
        try:
            _use(runs, results)
        except Exception as error:
            raise AssertionError(f"turn {turn}: {path.name} {path.read_bytes()[:200]}") from error
        path.write_bytes(before)
