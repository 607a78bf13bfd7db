"""Damaged files of runs, jobs and results: one line or a warning, never another exception."""

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
