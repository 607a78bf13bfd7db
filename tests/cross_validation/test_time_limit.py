"""The time limit of a cross-validation, on a clock that the tests set."""

import pytest

from tests.cross_validation.fake_runs import DONE, fake_run
from tests.cross_validation.test_jobs import fake, times_run
from xctrs_tf.cross_validation.jobs import Job, run_benchmark, run_job
from xctrs_tf.cross_validation.time_limit import TimeLimit, TimeUp, print_reached

# Of a limit of 10 minutes: a program is asked to end one minute before.
MINUTES, ASKED, ENDED = 10, 545.0, 605.0


class Clock:
    """A clock that stands at 0 until a file is there."""

    def __init__(self, file, then=ASKED):
        self.file = file
        self.then = then

    def __call__(self):
        return self.then if self.file.exists() else 0.0


def until_signalled(root, then):
    """Return a program that says that it is ready, and what it does when asked to end."""
    return (
        "import signal, sys, time\n"
        f"signal.signal(15, lambda *_: {then})\n"
        f"open({str(root / 'ready')!r}, 'w').close()\n"
        "time.sleep(600)"
    )


def saving(root, status):
    return f"(open({str(root / 'saved')!r}, 'w').close(), sys.exit({status}))"


def limit_of(root, then=ASKED):
    return TimeLimit(MINUTES, clock=Clock(root / "ready", then))


@pytest.mark.parametrize("status", [130, 1])
def test_a_program_is_asked_to_end_and_the_job_goes_on_later(tmp_path, status):
    job = fake(tmp_path, until_signalled(tmp_path, saving(tmp_path, status)), "pass")
    with pytest.raises(TimeUp):
        run_job(job, limit_of(tmp_path))
    assert (tmp_path / "saved").exists()
    # It is neither done nor failed, and no further program started.
    assert not job.record.exists() and times_run(tmp_path) == 1
    assert run_job(fake(tmp_path))["status"] == "done"


def test_a_training_that_ends_at_that_moment_is_not_evaluated(tmp_path):
    job = fake(tmp_path, until_signalled(tmp_path, saving(tmp_path, 0)), "pass")
    with pytest.raises(TimeUp):
        run_job(job, limit_of(tmp_path))
    assert not job.record.exists() and times_run(tmp_path) == 1


def test_a_program_that_does_not_end_is_killed(tmp_path):
    job = fake(tmp_path, until_signalled(tmp_path, "None"), "pass")
    with pytest.raises(TimeUp):
        run_job(job, limit_of(tmp_path, ENDED))
    assert not job.record.exists()


def test_no_job_begins_after_the_limit(tmp_path):
    (tmp_path / "ready").touch()
    clock = Clock(tmp_path / "ready")
    limit = TimeLimit(MINUTES, clock=clock)
    clock.then += ASKED
    job = fake(tmp_path)
    with pytest.raises(TimeUp):
        run_job(job, limit)
    assert not job.log.exists() and not job.record.exists()


def test_within_the_limit_nothing_changes(tmp_path):
    record = run_job(fake(tmp_path, "print('fine')", "pass"), limit_of(tmp_path))
    assert record["status"] == "done" and record["peak_memory_bytes"] > 2**20
    failed = run_job(fake(tmp_path / "other", "raise SystemExit(3)"), limit_of(tmp_path))
    assert failed["status"] == "failed" and failed["error"].startswith("exit status 3")


def test_time_is_kept_for_the_end_of_a_program_and_for_what_follows():
    reserve = 0.0
    limit = TimeLimit(MINUTES, lambda: reserve, clock=lambda: 0.0)
    assert limit.moments() == (540.0, 600.0)
    reserve = 100.0
    assert limit.moments() == (440.0, 500.0)
    # At least four tenths of a short limit are for the jobs.
    reserve = 1000.0
    assert limit.moments() == (240.0, 300.0)
    assert TimeLimit(1, clock=lambda: 0.0).moments() == (54.0, 60.0)


def test_it_says_what_is_done_begun_and_left(tmp_path, capsys):
    fake_run(tmp_path, "table1-spadrnet/fold-00-seed-0", [90], DONE)
    fake_run(tmp_path, "table1-vgg/fold-00-seed-0", [20, 40])
    rows = ("table1-spadrnet", "table1-vgg", "table2-sit")
    print_reached([Job(tmp_path, row, 0, 0, ()) for row in rows])
    assert capsys.readouterr().out.splitlines() == [
        "time is up: 1 of 3 jobs are done, 1 begun, 1 left; the same command goes on",
        "begun: table1-vgg fold 0 seed 0, step 40 of 90",
    ]


def test_a_benchmark_is_made_once_and_says_why_it_failed(tmp_path):
    error = run_benchmark(tmp_path, ["--network_size=7"])
    assert error.startswith("exit status 2: error: ") and "network_size" in error
    assert str(tmp_path / "benchmark.log") in error
    (tmp_path / "benchmark.json").write_text("{}", encoding="utf-8")
    assert run_benchmark(tmp_path, ["--network_size=7"]) is None


def test_a_benchmark_leaves_the_rest_of_the_time_to_the_jobs(tmp_path):
    # Half of the time is gone when it begins.
    now = [0.0]
    limit = TimeLimit(MINUTES, clock=lambda: now[0])
    now[0] = 300.0
    error = run_benchmark(tmp_path, ["--network_size=7"], limit)
    assert error == f"needs more than 33% of --max_minutes (see {tmp_path / 'benchmark.log'})"
    now[0] = ASKED
    with pytest.raises(TimeUp):
        run_benchmark(tmp_path, ["--network_size=7"], limit)


def test_the_first_part_of_a_limit_ends_after_its_share():
    limit = TimeLimit(MINUTES, clock=lambda: 0.0)
    assert limit.first_part(0.5).moments() == (270.0, 300.0)
