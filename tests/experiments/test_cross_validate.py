"""The cross-validation program: wrong flags, its plan, and a row from start to table."""

import functools
import json
import shutil
import stat

import pytest

from experiments import cross_validate
from tests.cross_validation.fake_runs import DONE, fake_run
from tests.programs import assert_refused, run_program
from tests.training.toys import toy_dataset
from xctrs_tf.cross_validation.time_limit import TimeLimit
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import open_parts

TINY = ["--preset=demo", "--width=0.0625", "--steps=2", "--batch_size=1", "--folds=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return toy_dataset(tmp_path_factory.mktemp("toy") / "data")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--workdir is missing: name a folder for all runs"),
        (["--workdir=RUNS"], "--table: give it, as 1, 2, 3 or 1,2,3; or --rows in its place"),
        (["--workdir=RUNS", "--table=1", "--rows=table1-vgg"], "--table: give it, as 1, 2, 3"),
        (["--workdir=RUNS", "--table=4"], "--table=4: must be of 1, 2, 3"),
        (["--workdir=RUNS", "--table=one"], "--table=one: must be numbers, commas between"),
        (["--workdir=RUNS", "--rows="], "--rows=: must be of table1-spadrnet, "),
        (["--workdir=RUNS", "--rows=table1-unet"], "--rows=table1-unet: must be of table1-"),
        (["--workdir=RUNS", "--table=1", "--folds=7"], "--folds=7: "),
        (["--workdir=RUNS", "--table=1", "--folds=x"], "--folds=x: must be numbers"),
        (["--workdir=RUNS", "--table=1", "--size=64"], "--size=64, but "),
        (["--workdir=RUNS", "--table=1", "--measure"], "--measure: only for --plan"),
        (["--workdir=RUNS", "--table=1", "--published=dsn"], "--published=dsn: must be all, none"),
        (["--workdir=RUNS", "--table=1", "--max_minutes=0"], "--max_minutes=0: must be above 0"),
        (
            ["--workdir=RUNS", "--table=1", "--max_minutes=9", "--ray_address=auto"],
            "--max_minutes: not with --ray_address",
        ),
        (
            ["--workdir=RUNS", "--table=1", "--handover=RUNS", "--folds=0"],
            "--handover=RUNS: is the --workdir, too",
        ),
        (
            ["--workdir=RUNS", "--table=3", "--augment=pose"],
            "table3-unet3d: --augment=pose: changes the films",
        ),
        (
            ["--workdir=RUNS", "--table=1", "--rsc_weight=0"],
            "table1-xctrsnet: is another method with the flags given; leave out networks (--rec",
        ),
        (
            ["--workdir=RUNS", "--rows=table1-mulsisnet", "--reconstruction_run=RUN"],
            "table1-mulsisnet: is another method with the flags given",
        ),
        (
            ["--workdir=RUNS", "--rows=table3-dsn", "--reconstruction=sit"],
            "table1-vgg: is another method with the flags given",
        ),
        (["--workdir=RUNS", "--table=1", "--fold=1"], "Unknown command line flag 'fold'"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(data, tmp_path, flags, message):
    runs = tmp_path / "runs"
    flags = [flag.replace("=RUNS", f"={runs}") for flag in flags]
    finished = run_program("cross_validate", "--preset=demo", f"--data={data}", *flags)
    output = runs if f"--workdir={runs}" in flags else None
    assert_refused(finished, f"error: {message.replace('=RUNS', f'={runs}')}", output)


def test_a_folder_that_is_no_handover_is_refused(data, tmp_path):
    runs = tmp_path / "runs"
    flags = [*TINY, f"--data={data}", f"--workdir={runs}", "--rows=table2-sit"]
    finished = run_program("cross_validate", *flags, f"--handover={data}")
    assert_refused(finished, f"{data}: holds manifest.json, so it is no handover", runs)
    assert not (data / ".lock").exists()


def test_share_reaches_training_and_evaluation(data, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(cross_validate, "_run", lambda jobs, *_: started.extend(jobs))
    flags = [*TINY, f"--data={data}", f"--workdir={tmp_path / 'runs'}", "--rows=table2-sit"]
    assert cross_validate.main([*flags, "--share"]) == 0
    (job,) = started
    assert "--share" in job.flags and "--share" in job.evaluation


def test_a_plan_without_preset_takes_the_one_that_fits_the_data(
    data, tmp_path, monkeypatch, capsys
):
    planned, opened = [], []
    monkeypatch.setattr(cross_validate, "print_plan", lambda *arguments: planned.append(arguments))
    monkeypatch.setattr(
        cross_validate, "open_dataset", lambda path: opened.append(path) or open_dataset(path)
    )
    flags = [f"--data={data}", f"--workdir={tmp_path / 'runs'}", "--table=1", "--folds=0"]
    assert cross_validate.main([*flags, "--plan"]) == 0
    # For the preset, and for the folds.
    assert len(opened) == 2
    ((jobs, configs, measure),) = planned
    assert not measure and {"--preset=demo"} <= set(jobs[0].flags)
    assert {job.row for job in jobs} == configs.keys()
    assert {config.size for config in configs.values()} == {32}
    assert capsys.readouterr().out.startswith("--preset=demo: for data of 32^3 voxels")
    # Of several folders, the first one's.
    second = toy_dataset(tmp_path / "second", num_patients=6)
    mixed = [f"--data={data}:0.7,{second}:0.3", *flags[1:], "--plan"]
    assert cross_validate.main(mixed) == 0
    assert capsys.readouterr().out.startswith("--preset=demo: for data of 32^3 voxels")
    assert cross_validate.main([*flags[1:], "--plan"]) == 2
    assert "--data is missing: name a folder made by" in capsys.readouterr().err
    # The jobs themselves need the preset that is meant.
    assert cross_validate.main(flags) == 2
    assert "was prepared at 32: give --preset=demo" in capsys.readouterr().err


def test_epochs_are_steps_by_the_batch_of_each_row(data, tmp_path, monkeypatch):
    planned = []
    monkeypatch.setattr(cross_validate, "print_plan", lambda *arguments: planned.append(arguments))
    flags = [f"--data={data}", f"--workdir={tmp_path / 'runs'}", "--rows=table1-vgg,table2-psr"]
    lengths = ["--batch_size=2", "--epochs=6", "--validation_epochs=2", "--published=table2-psr"]
    assert cross_validate.main([*flags, *lengths, "--preset=demo", "--plan"]) == 0
    ((jobs, configs, _),) = planned
    assert "--epochs=6" in jobs[0].flags and "--validation_epochs=2" in jobs[0].flags
    for row, batch_size in (("table1-vgg", 2), ("table2-psr", 1)):
        config = configs[row]
        (part,) = open_parts(config.data, config.fold)
        # A batch of 2 does not divide them.
        assert len(part.ids) == 5
        assert config.batch_size == batch_size and config.steps * batch_size == 6 * 5
        assert config.validate_every == config.checkpoint_every == 2 * 5 // batch_size


def test_a_benchmark_comes_before_the_jobs(data, tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(cross_validate, "_run", lambda jobs, *_: calls.append(len(jobs)))
    monkeypatch.setattr(
        cross_validate, "run_benchmark", lambda *arguments: calls.append(arguments) or "no memory"
    )
    flags = [*TINY, f"--data={data}", f"--workdir={tmp_path}", "--rows=table2-sit"]
    assert cross_validate.main([*flags, "--benchmark", "--precision=mixed_bfloat16"]) == 1
    given = ["--network_size=32", "--width=0.0625", "--precision=mixed_bfloat16", "--remat=False"]
    assert calls[0] == (tmp_path, given, None)
    assert "failed benchmark: no memory" in capsys.readouterr().out
    assert calls[1:] == [1]


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_job_that_was_done_with_other_data_is_refused(data, tmp_path, plan):
    fake_run(tmp_path, "table2-sit/fold-01-seed-0", record=DONE)
    flags = [*TINY, f"--data={data}", f"--workdir={tmp_path}", "--rows=table2-sit"]
    finished = run_program("cross_validate", *flags, *plan)
    told = f"error: --data={data}: table2-sit fold 1 seed 0 in --workdir was done with other data"
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr == f"{told}; give those data, or name another --workdir\n"


@pytest.mark.parametrize(("ray", "waves"), [([], ["vdvd"]), (["--ray_address=auto"], ["vv", "dd"])])
def test_jobs_run_fold_by_fold_but_for_a_cluster(data, tmp_path, monkeypatch, ray, waves):
    ran = []
    monkeypatch.setattr(cross_validate, "_run", lambda jobs, *_: ran.append(jobs))
    flags = [*TINY[:-1], f"--data={data}", f"--workdir={tmp_path}", "--rows=table3-dsn", *ray]
    assert cross_validate.main([*flags, "--folds=0,1"]) == 0
    letters = {"table1-vgg": "v", "table3-dsn": "d"}
    assert ["".join(letters[job.row] for job in wave) for wave in ran] == waves
    assert [job.fold for wave in ran for job in wave] == ([0, 1, 0, 1] if ray else [0, 0, 1, 1])


def test_jobs_get_absolute_paths(data, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(cross_validate, "_run", lambda jobs, *_: ran.extend(jobs))
    monkeypatch.chdir(tmp_path)
    toy_dataset(tmp_path / "second", num_patients=6)
    (tmp_path / "vgg.h5").touch()
    flags = [*TINY, f"--workdir={tmp_path / 'runs'}", "--rows=table2-sit"]
    mixture = [f"--data={data}:0.85,second:0.15", "--vgg_weights=vgg.h5"]
    assert cross_validate.main([*flags, *mixture]) == 0
    expected = [f"--data={data}:0.85,{tmp_path / 'second'}:0.15"]
    expected += [f"--vgg_weights={tmp_path / 'vgg.h5'}"]
    assert set(expected) <= set(ran[0].flags)
    ran.clear()
    assert cross_validate.main([*flags, "--data=second", "--vgg_weights=random"]) == 0
    assert {f"--data={tmp_path / 'second'}", "--vgg_weights=random"} <= set(ran[0].flags)


@pytest.mark.slow
def test_a_training_goes_on_on_another_machine(data, tmp_path, monkeypatch):
    """Stop a training at its first checkpoint, and go on from the handover with other paths."""
    there, here, handover = (tmp_path / name for name in ("there", "here", "handover"))
    flags = ["--rows=table2-sit", *TINY, "--checkpoint_every=1", f"--handover={handover}"]

    def clock():
        # Time enough until there is a checkpoint, and then as much as it takes to end in order.
        return 550.0 if any(there.glob("*/*/checkpoints/step-*")) else 0.0

    with monkeypatch.context() as patched:
        patched.setattr(cross_validate, "TimeLimit", functools.partial(TimeLimit, clock=clock))
        finished = run_program(
            *("cross_validate", *flags, f"--data={data}", f"--workdir={there}"),
            *("--steps=100000", "--max_minutes=10"),
        )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "time is up: 0 of 1 jobs are done, 1 begun, 0 left" in finished.stdout
    (job,) = json.loads((handover / "index.json").read_text("utf-8"))["jobs"].values()
    assert job["state"] == "begun" and job["step"] >= 1
    assert f"step {job['step']} of 100000" in finished.stdout
    assert not list(there.glob("*/*.json"))

    other = shutil.copytree(data, tmp_path / "other")
    shutil.rmtree(there)
    finished = run_program(
        *("cross_validate", *flags, f"--data={other}", f"--workdir={here}"),
        f"--steps={job['step'] + 1}",
    )
    assert finished.returncode == 0, finished.stdout
    assert "jobs taken over: 1 of 1" in finished.stdout
    (log,) = here.glob("*/*.log")
    assert f"resuming at step {job['step']}" in log.read_text("utf-8")
    assert json.loads((handover / "index.json").read_text("utf-8"))["done"] == 1

    # A third machine has enough for the tables.
    third = tmp_path / "third"
    flags = [*flags, f"--data={other}", f"--workdir={third}", "--steps=1"]
    assert "done before" in run_program("cross_validate", *flags).stderr
    finished = run_program(
        "tables", f"--runs={third}", f"--output={tmp_path / 'results'}", "--nomeasure"
    )
    assert finished.returncode == 0, finished.stderr
    assert "| SIT | 2 |" in (tmp_path / "results" / "table2.md").read_text("utf-8")


@pytest.mark.slow
def test_a_row_is_trained_evaluated_planned_and_tabulated(data, tmp_path):
    runs = tmp_path / "runs"
    flags = [*TINY, f"--data={data}", f"--workdir={runs}"]
    finished = run_program("cross_validate", "--rows=table2-sit", *flags)
    assert finished.returncode == 0, finished.stdout
    assert "1 of 1 jobs are done" in finished.stdout
    record = json.loads((runs / "table2-sit" / "fold-01-seed-0.json").read_text("utf-8"))
    assert record["status"] == "done" and record["peak_memory_bytes"] > 2**20
    # Pictures and predictions of patients are the user's alone.
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (runs, *runs.rglob("*"))}
    assert modes == {0o700, 0o600}

    # What is done tells its cost, the other row is counted; nothing is left of that.
    before = sorted(runs.rglob("*"))
    finished = run_program("cross_validate", "--rows=table2-sit,table2-psr", "--plan", *flags)
    assert finished.returncode == 0, finished.stderr
    done, new, total, *sources, machine = finished.stdout.splitlines()
    assert done.split()[:6] == ["table2-sit", "fold", "1", "seed", "0", "done"]
    assert new.split()[:6] == ["table2-psr", "fold", "1", "seed", "0", "new"]
    for line in (done, new):
        minutes, unit, gigabytes = line.split()[6:9]
        assert unit == "minutes" and 0 <= float(minutes) < 10 and 0.1 < float(gigabytes) < 10
    assert total.startswith("2 jobs of 2 steps")
    assert [line.partition(":")[0] for line in sources] == ["finished job", "counted"]
    assert machine.startswith("--preset=")
    assert sorted(runs.rglob("*")) == before

    again = run_program("cross_validate", "--rows=table2-sit", *flags)
    assert again.returncode == 0
    assert "done before: table2-sit fold 1 seed 0" in again.stderr
    assert "other flags" not in again.stderr
    again = run_program("cross_validate", "--rows=table2-sit", "--augment=mirror", *flags)
    told = "was done with other flags (without --augment, now --augment=mirror)"
    assert again.returncode == 0 and told in again.stderr

    finished = run_program(
        "tables", f"--runs={runs}", f"--output={tmp_path / 'results'}", "--nomeasure"
    )
    assert finished.returncode == 0, finished.stderr
    assert "| SIT | 2 |" in (tmp_path / "results" / "table2.md").read_text("utf-8")
