"""Train and evaluate every row of the paper's tables, fold by fold.

  python -m experiments.cross_validate --table=1 --data=DATA --workdir=RUNS
  python -m experiments.cross_validate --table=1,2,3 --preset=demo --data=DATA \\
      --workdir=RUNS --folds=0 --plan

Table 1: SpaDRNet; + multi-view VGG; + MulSISNet; + RSC, which is X-CTRSNet.
Table 2: SIT, PSR, X2CT-GAN, X-CTRSNet. Table 3: the six segmentation networks after
the reconstruction of Table 1's second row, and X-CTRSNet. Rows that tables share
are trained once.

Every flag of experiments.train but --fold, --seed and --workdir is one of this
program too; what a row is about is laid over it, and for the rows of --published the
optimizer, schedule, batch and loss of their authors. Stopped or killed, the same
command goes on and repeats no finished job, unless its run folder or evaluation was
removed. A failed job is recorded, the others go on, and the same command tries it
again. experiments.tables makes the tables.

--max_minutes ends all of it in time, with a checkpoint of the job that does not fit any more.
--handover writes what another machine needs to go on into a folder of small files, and
takes over what such a folder holds (docs/training.md, JAX on a borrowed GPU).

--plan tells in seconds what all of it will take, and how much of that is left: from the
jobs in --workdir, or by counting the operations of the networks. With --measure it trains
every row without a finished job for a few steps, which takes minutes and is exact.
The exit status is 0, or 1 when jobs failed.
"""

import functools
import logging
import os
import pathlib
import sys

from absl import flags

from experiments.common import cli, training_flags
from experiments.common.presets import PRESETS, fitting_preset, preset_config
from experiments.common.privacy import define_share, private_files
from xctrs_tf import provenance
from xctrs_tf.cross_validation.done_jobs import require_same_inputs
from xctrs_tf.cross_validation.handover import handed_over, handover_seconds
from xctrs_tf.cross_validation.jobs import (
    finished_record,
    list_jobs,
    other_flags,
    run_benchmark,
    run_job,
)
from xctrs_tf.cross_validation.plan import machine_memory, print_plan
from xctrs_tf.cross_validation.time_limit import TimeLimit, TimeUp, print_reached
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import absolute_data
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import SIZES
from xctrs_tf.models.catalogue import ROWS, rows_of_table
from xctrs_tf.parallel import parallel_map
from xctrs_tf.training.interruption import end_like_ctrl_c

FLAGS = flags.FlagValues()
TABLE = flags.DEFINE_list(
    "table", None, "Tables of the paper: 1, 2, 3, with commas between.", flag_values=FLAGS
)
ROW = flags.DEFINE_list(
    "rows", None, f"Rows in place of whole tables, of {', '.join(ROWS)}.", flag_values=FLAGS
)
PRESET = flags.DEFINE_string(
    "preset",
    "paper",
    f"Configuration of all: {', '.join(PRESETS)}. A --plan without it takes the one that fits the "
    "data.",
    flag_values=FLAGS,
)
PUBLISHED = flags.DEFINE_list(
    "published",
    ["table2-x2ctgan"],
    "Rows trained as by the authors of their networks: names of rows, all or none.",
    flag_values=FLAGS,
)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of all runs.", flag_values=FLAGS)
FOLDS = flags.DEFINE_list(
    "folds", ["all"], "all, or numbers with commas between.", flag_values=FLAGS
)
SEEDS = flags.DEFINE_list(
    "seeds", ["0"], "Seeds of the training; each repeats every job.", flag_values=FLAGS
)
PLAN = flags.DEFINE_boolean(
    "plan",
    False,
    "List the jobs with expected time and memory, and train nothing; it takes seconds.",
    flag_values=FLAGS,
)
MEASURE = flags.DEFINE_boolean(
    "measure",
    False,
    "With --plan: train every row without a finished job for a few steps.",
    flag_values=FLAGS,
)
LABEL_NAME = flags.DEFINE_string(
    "label_name", None, "As of experiments.evaluate.", flag_values=FLAGS
)
RAY_ADDRESS = flags.DEFINE_string(
    "ray_address",
    None,
    "Ray cluster that runs the jobs, such as auto; it must see the files.",
    flag_values=FLAGS,
)
GPUS_PER_JOB = flags.DEFINE_float(
    "gpus_per_job",
    0.0,
    "Of the Ray cluster; for training on its GPUs give 1.",
    lower_bound=0.0,
    flag_values=FLAGS,
)
MAX_MINUTES = flags.DEFINE_float(
    "max_minutes",
    None,
    "End within this time: a job that does not fit any more saves a checkpoint, from which the "
    "same command goes on.",
    flag_values=FLAGS,
)
HANDOVER = flags.DEFINE_string(
    "handover",
    None,
    "Folder of files of at most 16 MB: what it holds is taken over into --workdir, where it is "
    "further, and at the end it holds what is needed to go on on another machine.",
    flag_values=FLAGS,
)
BENCHMARK = flags.DEFINE_boolean(
    "benchmark",
    False,
    "Before the jobs measure the networks on this machine (experiments.benchmark) at --size, "
    "--width and --precision; it writes WORKDIR/benchmark.json, once.",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)
training_flags.define(FLAGS, without=("fold", "seed"))
training_flags.define_epochs(FLAGS)
EXIT_FAILED = 1


def execute():
    """Run or list the jobs that the flags ask for; return the exit status."""
    if not WORKDIR.value:
        raise UserError("--workdir is missing: name a folder for all runs")
    if MEASURE.value and not PLAN.value:
        raise UserError("--measure: only for --plan")
    limit = _limit()
    preset = _preset()
    config = preset_config(preset, **training_flags.given(FLAGS))
    share = ["--share"] if SHARE.value else []
    label_name = [f"--label_name={LABEL_NAME.value}"] if LABEL_NAME.value else []
    jobs = list_jobs(
        pathlib.Path(WORKDIR.value).absolute(),
        _rows(),
        _folds(config),
        _numbers(SEEDS),
        [f"--preset={preset}", *share, *_given()],
        [*label_name, *share],
        _published(),
    )
    configs = _configs(jobs, config)
    if PLAN.value:
        require_same_inputs(jobs, config.data, config.vgg_weights)
        _plan(jobs, preset, configs)
        return 0
    # A signal reaches the running job, which saves a checkpoint before it ends.
    end_like_ctrl_c()
    data = absolute_data(config.data)
    with private_files(SHARE.value), handed_over(HANDOVER.value, jobs[0].root, data):
        return _execute(jobs, config, limit)


def _execute(jobs, config, limit):
    """Run the jobs, those taken over too, until the limit; return the exit status."""
    require_same_inputs(jobs, config.data, config.vgg_weights)
    failed = {}
    try:
        if BENCHMARK.value:
            flags_of_it = {"network_size": config.size, "width": config.width}
            flags_of_it |= {"precision": config.precision, "remat": config.remat}
            given = [f"--{name}={value}" for name, value in flags_of_it.items()]
            error = run_benchmark(jobs[0].root, given, limit)
            failed |= {"benchmark": error} if error else {}
        waves = [jobs]
        if RAY_ADDRESS.value is not None:
            # Jobs run beside each other: those that others depend on come first.
            waves = [
                [job for job in jobs if (job.needs is None) == first] for first in (True, False)
            ]
        for wave in waves:
            _run(wave, len(jobs), limit, failed)
        done = [job for job in jobs if job not in failed]
        print(f"{len(done)} of {len(jobs)} jobs are done in {WORKDIR.value}")
    except TimeUp:
        print_reached(jobs)
    for job, error in failed.items():
        print(f"failed {job}: {error}")
    return EXIT_FAILED if failed else 0


def _limit():
    """Return the `TimeLimit` of --max_minutes, None without one."""
    if MAX_MINUTES.value is None:
        return None
    if MAX_MINUTES.value <= 0:
        raise UserError(f"--max_minutes={MAX_MINUTES.value:g}: must be above 0")
    if RAY_ADDRESS.value is not None:
        raise UserError("--max_minutes: not with --ray_address; give the time to its scheduler")
    root = pathlib.Path(WORKDIR.value)
    return TimeLimit(
        MAX_MINUTES.value, lambda: handover_seconds(root) if HANDOVER.value is not None else 0.0
    )


def _configs(jobs, config):
    """Return the `TrainingConfig` of each row; refuse flags that one of the rows cannot have."""
    # A row's jobs differ in fold and seed alone.
    of_rows = {job.row: job.config(config) for job in jobs}
    return {row: training_flags.in_steps(each, FLAGS) for row, each in of_rows.items()}


def _plan(jobs, preset, configs):
    """Print what the jobs take, and the preset that it is for."""
    if not MEASURE.value:
        cli.load_tensorflow()
    print_plan(jobs, configs, MEASURE.value)
    size = configs[jobs[0].row].size
    print(
        f"--preset={preset}: for data of {size}^3 voxels; this machine has {os.cpu_count()} cores, "
        f"{machine_memory() / 2**30:.1f} GiB of memory and {_gpus()}"
    )
    if size == max(SIZES) and not provenance.accelerators():
        smaller = fitting_preset(size // 2)
        print(
            f"{size}^3 is for a GPU; on a CPU, data prepared with --size={size // 2} and "
            f"--preset={smaller} take about a tenth of the time"
        )


def _gpus():
    found = provenance.accelerators()
    return ", ".join(found) if found else "no GPU that the backend uses"


def _preset():
    """Return the preset of all jobs: a plan without one takes what fits the data."""
    if PLAN.value and not FLAGS["preset"].present and "size" not in training_flags.given(FLAGS):
        config = preset_config(PRESET.value, **training_flags.given(FLAGS))
        config.check()
        return fitting_preset(open_dataset(config.data_folder).size) or PRESET.value
    return PRESET.value


def _run(jobs, total, limit, failed):
    """Run jobs; note the errors of those that failed."""
    with parallel_map(1, RAY_ADDRESS.value, num_gpus=GPUS_PER_JOB.value) as mapper:
        todo = []
        for job in jobs:
            if (record := finished_record(job)) is not None:
                print(f"done before: {job}", file=sys.stderr)
                if differing := other_flags(job, record):
                    logging.warning(
                        "%s was done with other flags (%s); for these name another --workdir",
                        job,
                        "; ".join(differing),
                    )
            else:
                todo.append(job)
        if todo:
            print(f"{len(todo)} to do now, {total} in all; first: {todo[0]} (log: {todo[0].log})")
        records = mapper(functools.partial(run_job, limit=limit), todo)
        for job, record in zip(todo, records, strict=True):
            print(f"{record['status']}: {job}, {record['seconds'] / 60:.1f} minutes", flush=True)
            if record["status"] != "done":
                failed[job] = record["error"]


def _rows():
    if (TABLE.value is None) == (ROW.value is None):
        raise UserError("--table: give it, as 1, 2, 3 or 1,2,3; or --rows in its place")
    if TABLE.value is None:
        unknown = [row for row in ROW.value or [""] if row not in ROWS]
        if unknown:
            raise UserError(f"--rows={unknown[0]}: must be of {', '.join(ROWS)}")
        return ROW.value
    numbers = _numbers(TABLE)
    if not set(numbers) <= {1, 2, 3}:
        raise UserError(f"--table={','.join(TABLE.value)}: must be of 1, 2, 3")
    return list(dict.fromkeys(row for number in numbers for row in rows_of_table(number)))


def _published():
    """Return the rows that are trained as their authors train them."""
    if PUBLISHED.value in (["all"], ["none"]):
        return tuple(ROWS) if PUBLISHED.value == ["all"] else ()
    unknown = [row for row in PUBLISHED.value if row not in ROWS]
    if unknown:
        raise UserError(f"--published={unknown[0]}: must be all, none or of {', '.join(ROWS)}")
    return tuple(PUBLISHED.value)


def _folds(config):
    config.check()
    dataset = open_dataset(config.data_folder)
    if dataset.size != config.size:
        raise UserError(
            f"--size={config.size}, but {config.data} was prepared at {dataset.size}: "
            f"give --preset={fitting_preset(dataset.size)}"
        )
    dataset.overlap_name(LABEL_NAME.value)
    number = len(dataset.manifest["folds"])
    if FOLDS.value == ["all"]:
        return range(number)
    folds = _numbers(FOLDS)
    if max(folds) >= number:
        raise UserError(f"--folds={max(folds)}: {config.data} has folds 0 to {number - 1}")
    return folds


def _numbers(flag):
    if not flag.value or not all(text.isdecimal() for text in flag.value):
        raise UserError(f"--{flag.name}={','.join(flag.value)}: must be numbers, commas between")
    return list(dict.fromkeys(map(int, flag.value)))


def _given():
    """Return this command's training flags as arguments of the jobs."""
    given = training_flags.given(FLAGS)
    # A job may run elsewhere on the same file system.
    given["data"] = absolute_data(given["data"])
    if pathlib.Path(given.get("vgg_weights", "")).is_file():
        given["vgg_weights"] = pathlib.Path(given["vgg_weights"]).absolute()
    given |= training_flags.given_epochs(FLAGS)
    return [f"--{name}={value}" for name, value in given.items()]


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
