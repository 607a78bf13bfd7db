"""Jobs of a cross-validation: order, records, resumption, interruption."""

import dataclasses
import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from xctrs_tf.cross_validation.jobs import Job, list_jobs, other_flags, run_job
from xctrs_tf.errors import UserError
from xctrs_tf.models.catalogue import rows_of_table

TABLES = {number: rows_of_table(number) for number in (1, 2, 3)}


@dataclasses.dataclass(frozen=True)
class FakeJob(Job):
    """A job whose programs are lines of Python; each adds a letter to the file ``ran``.

    The last one writes the file that ends an evaluation, too.
    """

    programs: tuple = ("pass", "pass")

    @property
    def needs(self):
        return None

    @property
    def commands(self):
        note = f"open({str(self.root / 'ran')!r}, 'a').write('x')"
        evaluation = f"pathlib.Path({str(self.folder)!r}, 'evaluation')"
        evaluate = (
            f"import pathlib; {evaluation}.mkdir(parents=True, exist_ok=True)\n"
            f"({evaluation} / 'cases.json').touch()"
        )
        *first, last = self.programs
        return [["-c", f"{note}\n{program}"] for program in (*first, f"{last}\n{evaluate}")]


def fake(root, *programs):
    """Return a job that runs these lines of Python."""
    return FakeJob(root, "table1-vgg", 3, 0, (), programs=programs or ("pass", "pass"))


def interrupt_job(root, program, *files):
    """Run a program as a job; interrupt this process as each of the files appears."""
    # A background shell starts its programs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        for file in files:
            while not file.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_job(fake(root, program))
    finally:
        signal.signal(signal.SIGINT, before)


def times_run(root):
    """Return how many programs have started."""
    return len((root / "ran").read_text(encoding="utf-8"))


def test_rows_of_the_tables_end_with_xctrsnet():
    assert [len(rows) for rows in TABLES.values()] == [4, 4, 7]
    assert {rows[-1] for rows in TABLES.values()} == {"table1-xctrsnet"}


def test_jobs_come_fold_by_fold_and_prerequisites_come_first(tmp_path):
    listed = list_jobs(tmp_path, TABLES[3][-2:], [1, 4], [0], ["--steps=5"])
    assert [(job.row, job.fold) for job in listed] == [
        ("table1-vgg", 1),
        ("table3-mulsisnet", 1),
        ("table1-xctrsnet", 1),
        ("table1-vgg", 4),
        ("table3-mulsisnet", 4),
        ("table1-xctrsnet", 4),
    ]


def test_every_fold_row_and_seed_is_listed_once(tmp_path):
    rows = [row for table in TABLES.values() for row in table]
    listed = list_jobs(tmp_path, rows, range(10), [0, 1], [])
    assert len(listed) == len(set(listed)) == 13 * 10 * 2
    assert len({job.folder for job in listed}) == len(listed)


def test_a_published_row_is_trained_as_its_authors_do_and_the_others_are_not(tmp_path):
    listed = list_jobs(
        tmp_path, ["table3-dsn", "table1-vgg"], [0], [0], ["--batch_size=2"], (), ["table3-dsn"]
    )
    assert [job.row for job in listed] == ["table1-vgg", "table3-dsn"]
    vgg, dsn = (" ".join(job.commands[0]) for job in listed)
    assert "--optimizer=sgd" in dsn and dsn.index("--batch_size=4") > dsn.index("--batch_size=2")
    assert "--optimizer" not in vgg and "--batch_size=4" not in vgg


def test_settings_of_a_row_override_the_flags(tmp_path):
    flags = ["--preset=demo", "--vgg_weight=3.0", "--seed=9"]
    train, evaluate = Job(tmp_path, "table1-spadrnet", 2, 1, tuple(flags)).commands
    # The last of two flags counts.
    values = dict(flag.removeprefix("--").split("=", 1) for flag in train[2:])
    assert values == {
        "preset": "demo",
        "vgg_weight": "0.0",
        "dice_weight": "0.0",
        "rsc_weight": "0.0",
        "fold": "2",
        "seed": "1",
        "workdir": f"{tmp_path}/table1-spadrnet/fold-02-seed-1",
    }
    assert f"--workdir={tmp_path}/table1-spadrnet/fold-02-seed-1" in evaluate


def test_a_row_of_table_3_uses_the_reconstruction_of_its_fold(tmp_path):
    job = Job(tmp_path, "table3-dsn", 2, 1, ())
    assert f"--reconstruction_run={tmp_path}/table1-vgg/fold-02-seed-1" in job.commands[0]


def test_a_done_job_is_not_repeated(tmp_path):
    job = fake(tmp_path, "pass", "print('fine')")
    assert job.state() == "new"
    record = run_job(job)
    assert (record["status"], job.state()) == ("done", "done")
    assert record["seconds"] > record["last_seconds"] > 0
    assert record["peak_memory_bytes"] > 2**20
    assert len(record["commands"]) == 2
    assert job.log.read_text(encoding="utf-8") == "fine\n"
    assert run_job(job) == record
    assert times_run(tmp_path) == 2


@pytest.mark.parametrize(("removed", "left"), [("", "new"), ("evaluation", "begun")])
def test_a_done_job_whose_results_were_removed_is_done_again(tmp_path, caplog, removed, left):
    job = fake(tmp_path)
    run_job(job)
    shutil.rmtree(job.folder / removed)
    assert job.state() == left
    assert run_job(job)["status"] == job.state() == "done"
    assert times_run(tmp_path) == 4
    told = f"{job.record}: done, but {job.folder} has no evaluation; the job counts as not done"
    assert caplog.messages == [told]


def test_flags_that_change_the_result_are_told(tmp_path):
    job = Job(tmp_path, "table2-sit", 0, 0, ("--width=0.5", "--data=A"), ("--label_name=x y",))
    record = {"commands": [shlex.join(["python", *command]) for command in job.commands]}
    assert other_flags(job, record) == []
    flags = ("--augment=mirror", "--data=B", "--remat")
    moved = dataclasses.replace(job, root=tmp_path / "moved", flags=flags)
    assert other_flags(moved, record) == [
        "--width=0.5, now without",
        "without --augment, now --augment=mirror",
    ]


def test_a_failed_job_is_recorded_and_tried_again(tmp_path):
    job = fake(tmp_path, "import sys; sys.exit('error: the disk is full')", "pass")
    record = run_job(job)
    assert job.state() == "failed"
    assert record["error"] == f"exit status 1: error: the disk is full (see {job.log})"
    assert times_run(tmp_path) == 1  # the evaluation did not run
    assert json.loads(job.record.read_text(encoding="utf-8")) == record
    assert run_job(fake(tmp_path))["status"] == "done"


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"status": "done"}', b'{"status": "done", "seco', b'{"status": 1}'],
)
def test_a_damaged_record_is_a_job_to_do_again_and_says_so(tmp_path, caplog, content):
    job = fake(tmp_path)
    record = run_job(job)
    job.record.write_bytes(content)
    assert job.state() == "begun"
    assert f"{job.record}: damaged" in caplog.text
    assert run_job(job).keys() == record.keys()
    assert times_run(tmp_path) == 4


def test_leftovers_of_a_killed_job_are_removed(tmp_path):
    job = fake(tmp_path)
    for name in (job.record.name, job.folder.name):
        (job.folder.parent / f".{name}.abcd1234" / name).mkdir(parents=True)
    (job.folder.parent / f".{job.folder.name}.lock").touch()
    run_job(job)
    assert sorted(path.name for path in job.folder.parent.iterdir()) == [
        job.folder.name,
        job.record.name,
        job.log.name,
    ]


def test_ctrl_c_does_not_reach_the_program_itself(tmp_path):
    run_job(job := fake(tmp_path, "import os; print(os.getpgid(0))"))
    assert int(job.log.read_text(encoding="utf-8")) != os.getpgid(0)


def test_a_killed_program_is_a_failure(tmp_path):
    record = run_job(fake(tmp_path, "import os; os.kill(os.getpid(), 9)"))
    assert record["error"].startswith("exit status -9: ")


def test_a_job_without_its_reconstruction_is_a_failure(tmp_path):
    job = Job(tmp_path, "table3-dsn", 0, 0, ())
    record = run_job(job)
    assert record["status"] == "failed"
    assert record["error"] == "needs table1-vgg fold 0 seed 0, which is not done"


@pytest.mark.parametrize(
    "end",
    ["raise SystemExit(130)", "import os; os.kill(os.getpid(), 15)"],
    ids=["saved", "at once"],
)
def test_a_stopped_program_stops_the_cross_validation(tmp_path, end):
    job = fake(tmp_path, end)
    with pytest.raises(KeyboardInterrupt):
        run_job(job)
    assert not job.record.exists()


def test_interruption_lets_the_program_save(tmp_path):
    """Signal the parent alone, as the scheduler of a cluster does."""
    saved = tmp_path / "saved"
    program = (
        "import signal, sys, time\n"
        f"signal.signal(15, lambda *_: (open({str(saved)!r}, 'w').close(), sys.exit(130)))\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "time.sleep(60)"
    )

    interrupt_job(tmp_path, program, tmp_path / "ready")
    assert saved.exists()


def test_a_second_interruption_leaves_no_program_without_its_lock(tmp_path):
    """Signal twice a parent whose program takes its time to save."""
    process, asked = tmp_path / "process", tmp_path / "asked"
    program = (
        "import os, pathlib, signal, time\n"
        f"signal.signal(15, lambda *_: pathlib.Path({str(asked)!r}).touch())\n"
        f"pathlib.Path({str(process)!r}).write_text(str(os.getpid()))\n"
        "for _ in range(60): time.sleep(1)"
    )

    interrupt_job(tmp_path, program, process, asked)
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.read_text(encoding="utf-8")), 0)


def test_a_child_of_a_killed_parent_keeps_its_job(tmp_path):
    """Kill the parent: its child goes on, and a second child must not start beside it."""
    released = tmp_path / "released"
    program = (
        "import os, time\n"
        "for _ in range(6000):\n"
        f"    if os.path.exists({str(released)!r}): break\n"
        "    time.sleep(0.01)"
    )
    script = (
        "import pathlib\n"
        "from tests.cross_validation.test_jobs import fake\n"
        "from xctrs_tf.cross_validation.jobs import run_job\n"
        f"run_job(fake(pathlib.Path({str(tmp_path)!r}), {program!r}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    while not (tmp_path / "ran").exists():
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    with pytest.raises(UserError, match=r"a program that process \d+ started writes to it; wait"):
        run_job(fake(tmp_path))
    released.touch()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            record = run_job(fake(tmp_path))
            break
        except UserError:
            time.sleep(0.1)
    assert record["status"] == "done"


def test_jobs_can_be_pickled(tmp_path):
    """Pickle a job, as Ray and process pools do."""
    import pickle

    job = Job(tmp_path, "table3-dsn", 2, 1, ("--steps=5",))
    assert pickle.loads(pickle.dumps(functools.partial(run_job, job))).args == (job,)
