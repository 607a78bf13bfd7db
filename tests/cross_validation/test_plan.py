"""The plan of a cross-validation: known rows, counted rows, and rows that are tried."""

import dataclasses
import json

import pytest

from tests.cross_validation.fake_runs import DONE, fake_checkpoint, write
from xctrs_tf.cross_validation import convolution_rate, operations, plan
from xctrs_tf.cross_validation.jobs import Job
from xctrs_tf.cross_validation.operations import step_memory, step_operations
from xctrs_tf.errors import UserError
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.models.complexity import network_costs
from xctrs_tf.training.config import TrainingConfig

SMALL = TrainingConfig(size=32, width=0.25, batch_size=2, vgg_weight=0.0, steps=100)


def with_steps(job, seconds):
    job.folder.mkdir(parents=True)
    rows = [{"step": step, "kind": "training", "seconds": each} for step, each in seconds.items()]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (job.folder / "history.jsonl").write_text(lines, encoding="utf-8")


def finish(job, **record):
    write(job.folder / "evaluation" / "cases.json", "{}")
    write(job.record, json.dumps(DONE | {"peak_memory_bytes": 2**30} | record))


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
    finish(finished, seconds=120.0)
    with_steps(begun, {20: 9.0, 40: 3.0, 60: 3.0})
    first, second, total, *sources = planned(capsys, jobs, configs)
    assert first.split()[5:] == ["done", "2.0", "minutes", "1.0", "GiB", "finished", "job"]
    assert second.split()[5:8] == ["begun", "5.0", "minutes"]
    assert second.endswith("begun job")
    assert total == "2 jobs of 100 steps; about 5.0 minutes left, one job at a time"
    assert [line.partition(":")[0] for line in sources] == ["finished job", "begun job"]


def test_a_job_that_was_stopped_tells_the_time_of_all_its_starts(jobs, configs, capsys):
    # 100 steps of 6 s; the last start took a minute, half of it for the evaluation.
    with_steps(jobs[0], {50: 6.0, 100: 6.0})
    finish(jobs[0], seconds=60.0, last_seconds=30.0)
    first, total, _ = planned(capsys, jobs[:1], configs)
    assert first.split()[5:8] == ["done", "10.5", "minutes"]
    assert "about 0.0 minutes left" in total
    # A record of an earlier version does not tell the evaluation.
    finish(jobs[0], seconds=60.0)
    assert planned(capsys, jobs[:1], configs)[0].split()[6:8] == ["10.0", "minutes"]


@pytest.mark.parametrize("source", [plan.FINISHED, plan.BEGUN, plan.TRIED])
def test_what_is_left_is_without_the_steps_of_begun_jobs(
    jobs, configs, capsys, monkeypatch, source
):
    begun = jobs[0]
    begun.folder.mkdir(parents=True)
    fake_checkpoint(begun.folder / "checkpoints" / "step-00000080", 80)
    listed = [begun]
    if source == plan.FINISHED:
        # 5 minutes of training, 2 of all else.
        listed.append(dataclasses.replace(begun, fold=1))
        with_steps(listed[1], {100: 3.0})
        finish(listed[1], seconds=420.0, last_seconds=60.0)
    elif source == plan.BEGUN:
        write(begun.folder / "history.jsonl", '{"step": 80, "kind": "training", "seconds": 3.0}\n')
    else:
        monkeypatch.setattr(plan, "_try", lambda job: plan.Cost(120.0, 3.0, 2**31, plan.TRIED))
    first, *_, total, _ = planned(capsys, listed, configs, source == plan.TRIED)
    whole, left = ("5.0", "1.0") if source == plan.BEGUN else ("7.0", "3.0")
    assert first.split()[5:8] == ["begun", whole, "minutes"] and first.endswith(source)
    assert f"about {left} minutes left" in total


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


def test_a_row_that_cannot_be_counted_does_not_end_the_plan(
    jobs, configs, capsys, monkeypatch, caplog
):
    def count(config):
        if config.uses_segmentation:
            raise UserError("mulsisnet: no operation count")
        return 6e9

    monkeypatch.setattr(operations, "step_operations", count)
    monkeypatch.setattr(convolution_rate, "convolution_rate", lambda: 1e9)
    first, second, total, *sources = planned(capsys, jobs, configs)
    assert first.split()[6:8] == ["10.0", "minutes"]
    assert second.split()[5:] == ["new", "-", "-", plan.UNKNOWN]
    assert second.index(plan.UNKNOWN) == first.index(plan.COUNTED)
    assert "about 10.0 minutes left without 1 unknown jobs, one job at a time" in total
    assert "table1-mulsisnet: mulsisnet: no operation count" in caplog.text
    assert sources[1].startswith("unknown: not counted, and not in the time that is left")
    # The time of a step is then known, its memory is not.
    with_steps(jobs[1], {20: 3.0})
    _, second, total, *_ = planned(capsys, jobs, configs)
    assert second.split()[5:] == ["begun", "5.0", "minutes", "-", "begun", "job"]
    assert "unknown" not in total


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


def test_the_outputs_of_a_published_objective_are_counted_with_it_alone():
    config = dataclasses.replace(SMALL, segmentation="dsn", reconstruction_run="RUN")
    published = dataclasses.replace(config, segmentation_objective="published")
    assert step_operations(config) < step_operations(published)
    # Two patients, forward and backward, of the patient's CT and of the reconstruction.
    costs = network_costs("dsn", SMALL.size, SMALL.width, training_heads=False)
    assert step_operations(config) == 2 * 2 * 3 * sum(cost.flops for cost in costs)


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


def test_only_rows_without_a_finished_job_are_tried(jobs, configs, capsys, monkeypatch):
    finish(jobs[0], seconds=120.0)
    with_steps(jobs[1], {20: 3.0})
    monkeypatch.setattr(plan, "_try", lambda job: plan.Cost(10.0, 2.0, 2**31, plan.TRIED))
    first, second, *_ = planned(capsys, jobs, configs, True)
    assert first.endswith(plan.FINISHED) and second.endswith(plan.TRIED)


class TriedJob(Job):
    """A job that trains nothing, and refuses --epochs beside --steps as experiments.train does."""

    @property
    def commands(self):
        program = (
            "import json, pathlib, sys\n"
            "assert not ('--epochs' in str(sys.argv) and '--steps' in str(sys.argv)), 'give one'\n"
            f"folder = pathlib.Path({str(self.folder)!r})\n"
            "folder.mkdir(parents=True)\n"
            "row = {'step': 4, 'kind': 'training', 'seconds': 0.5}\n"
            "(folder / 'history.jsonl').write_text(json.dumps(row))"
        )
        return [["-c", program, *self.flags]]


def test_a_trial_has_a_number_of_steps_in_place_of_the_epochs(tmp_path, configs, capsys):
    job = TriedJob(tmp_path, "table1-spadrnet", 0, 0, ("--epochs=9", "--validation_epochs=3"))
    first, *_ = planned(capsys, [job], configs, True)
    assert first.endswith("tried")
