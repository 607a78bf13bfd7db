"""The plan of a cross-validation: known rows, counted rows, and rows that are tried."""

import dataclasses
import json

import pytest

from xctrs_tf.cross_validation import convolution_rate, plan
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.cross_validation.operations import step_memory, step_operations
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.training.config import TrainingConfig

SMALL = TrainingConfig(size=32, width=0.25, batch_size=2, vgg_weight=0.0, steps=100)


def with_steps(job, seconds):
    job.folder.mkdir(parents=True)
    rows = [{"step": step, "kind": "training", "seconds": each} for step, each in seconds.items()]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (job.folder / "history.jsonl").write_text(lines, encoding="utf-8")


def planned(capsys, *arguments):
    plan.print_plan(*arguments)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def jobs(tmp_path):
    return [Job(tmp_path, row, 0, 0, ()) for row in ("table1-spadrnet", "table1-mulsisnet")]


@pytest.fixture
def configs(jobs):
    return {job.row: dataclasses.replace(SMALL, **ROWS[job.row].config) for job in jobs}


def test_a_finished_and_a_begun_job_tell_their_own_cost(jobs, configs, capsys, monkeypatch):
    monkeypatch.setattr(convolution_rate, "convolution_rate", None)
    finished, begun = jobs
    finished.folder.mkdir(parents=True)
    record = {"status": "done", "seconds": 120.0, "peak_memory_bytes": 2**30, "commands": []}
    finished.record.write_text(json.dumps(record), encoding="utf-8")
    with_steps(begun, {20: 9.0, 40: 3.0, 60: 3.0})
    first, second, total, *sources = planned(capsys, jobs, configs)
    assert first.split()[5:] == ["done", "2.0", "minutes", "1.0", "GiB", "finished", "job"]
    assert second.split()[5:8] == ["begun", "5.0", "minutes"]
    assert second.endswith("begun job")
    assert total == "2 jobs of 100 steps; about 5.0 minutes left, one job at a time"
    assert [line.partition(":")[0] for line in sources] == ["finished job", "begun job"]


def test_an_unknown_row_is_counted_at_the_rate_of_a_known_one(jobs, configs, capsys, monkeypatch):
    monkeypatch.setattr(convolution_rate, "convolution_rate", None)
    known, unknown = jobs
    with_steps(known, {20: 3.0})
    _, second, *_, source = planned(capsys, jobs, configs)
    ratio = step_operations(configs[unknown.row]) / step_operations(configs[known.row])
    assert second.split()[6:8] == [f"{5.0 * ratio:.1f}", "minutes"]
    assert source.startswith("counted: ") and "(the rate of the other rows' steps)" in source


def test_without_known_rows_a_convolution_is_measured(jobs, configs, capsys, monkeypatch):
    monkeypatch.setattr(convolution_rate, "convolution_rate", lambda: 1e9)
    first, *_, source = planned(capsys, jobs[:1], configs)
    minutes = step_operations(configs[jobs[0].row]) / 1e9 * SMALL.steps / 60
    assert first.split()[6:8] == [f"{minutes:.1f}", "minutes"]
    assert "1 GFLOP/s (the rate of a small convolution, just measured)" in source
    assert "factor of 2" in source


def test_the_rate_of_a_convolution_is_one_that_processors_have():
    assert 1e8 < convolution_rate.convolution_rate() < 1e15


def test_operations_follow_the_networks_that_a_step_runs():
    whole = step_operations(SMALL)
    alone = step_operations(dataclasses.replace(SMALL, dice_weight=0.0, rsc_weight=0.0))
    once = step_operations(dataclasses.replace(SMALL, rsc_weight=0.0))
    # RSC segments two volumes.
    assert whole - alone == pytest.approx(2 * (once - alone))
    assert step_operations(dataclasses.replace(SMALL, batch_size=6)) == pytest.approx(3 * whole)
    with_vgg = [dataclasses.replace(SMALL, vgg_weight=1.0, vgg_slices=n) for n in (1, 3)]
    few, many = (step_operations(config) - whole for config in with_vgg)
    assert many == pytest.approx(3 * few) and few > 0
    memory = step_memory(SMALL)
    assert step_memory(dataclasses.replace(SMALL, batch_size=4)) > memory
    assert step_memory(dataclasses.replace(SMALL, remat=True)) < memory


def test_on_demand_a_row_is_tried(jobs, configs, capsys, monkeypatch):
    seen = []

    def tried(job):
        seen.append(job)
        return plan.Cost(10.0, 2.0, 2**31, plan.TRIED)

    monkeypatch.setattr(plan, "_try", tried)
    first, *_, source = planned(capsys, jobs[:1], configs, True)
    (job,) = seen
    # In a temporary folder.
    assert job.row == jobs[0].row and job.root != jobs[0].root and not job.root.exists()
    assert first.split()[6:] == ["3.5", "minutes", "2.0", "GiB", "tried"]
    assert source.startswith("tried: ")
