"""Taking over the jobs of a handover (`handover`) where they are further than those here."""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import tempfile

from xctrs_tf.cross_validation.part_files import INDEX, is_inside, read_index, unpack_parts
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.results.finished_run import read_job
from xctrs_tf.files import atomic_path, read_json, sync, write_json
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.training.checkpoints import latest_step
from xctrs_tf.training.config.field_kinds import COMPUTATION, INTERVALS, PATHS
from xctrs_tf.training.run_record import complete_training, mixed_in, read_run_record, split_hash_in
from xctrs_tf.training.trained_data import describe_data

# Results of `experiments.benchmark` beside the runs.
BENCHMARKS = "benchmark*.json"
_SCRATCH = "taken-over"
_JOB = re.compile(r"(?P<job>[\w-]+/fold-(?P<fold>\d+)-seed-\d+)(/.+|\.json|\.log)?")


def job_of(name):
    """Return the job to which a file of a handover belongs, as ``table1-vgg/fold-00-seed-0``.

    Args:
        name: of the file, with ``/`` between folders.

    Returns:
        str; None for a file that is no job's.
    """
    found = _JOB.fullmatch(name)
    return found and found["job"]


def job_in(path):
    """Return the job whose run folder a path is, as `job_of`.

    Args:
        path: text of a path on any machine; empty for none.
    """
    return job_of("/".join(pathlib.PurePath(path).parts[-2:]))


def take_over(folder, root, data):
    """Put the jobs of a handover into the folder of all jobs, where they are further.

    Args:
        folder: `pathlib.Path` of the handover; nothing happens if it is empty.
        root: `pathlib.Path` of the folder of all jobs.
        data: value of ``data`` with absolute paths, in place of that on the other machine.

    Raises:
        UserError: the handover is damaged, or a run of it is another one than that in ``root``
            or was trained on other data.
    """
    index = read_index(folder)
    if index is None:
        return
    jobs, copies = _checked(folder, index)
    for name, job in jobs.items():
        _require_same_run(folder, root / name, job)
    taken = {name for name, job in jobs.items() if _is_behind(root / name, job)}
    _require_data(folder, data, {name: jobs[name] for name in sorted(taken)})
    with (
        # Removes what a killed process left of this.
        folder_lock(root / _SCRATCH, beside=True, wait=True),
        tempfile.TemporaryDirectory(prefix=f".{_SCRATCH}.", dir=root) as scratch,
    ):
        unpacked = pathlib.Path(scratch) / _SCRATCH
        unpacked.mkdir()
        _unpack(folder, index, unpacked, taken, copies)
        for path in unpacked.glob(BENCHMARKS):
            if not (root / path.name).exists():
                os.replace(path, root / path.name)
        for name in jobs:
            if name in taken:
                _set_paths(unpacked / name, jobs, root, data)
                _put(unpacked / name, root / name)
    print(f"{folder}: jobs taken over: {len(taken)} of {len(jobs)}", flush=True)


def _checked(folder, index):
    """Return the jobs and the copies of an index; raise UserError if one is damaged."""
    try:
        jobs, copies = dict(index["jobs"]), dict(index["copies"])
        for name, job in jobs.items():
            step, training = job["step"], job["training"]
            whole = job_of(name) == name and job["state"] in ("begun", "failed", "done")
            whole = whole and (step is None or type(step) is int)
            if not (whole and (training is None or isinstance(training, dict))):
                raise ValueError(f"job {name:.80}")
        for pair in copies.items():
            if not all(is_inside(name) and job_of(name) in jobs for name in pair):
                raise ValueError(f"copy {pair[0]:.80}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / INDEX}: damaged ({error}); copy the whole folder again"
        ) from None
    return jobs, copies


def _unpack(folder, index, target, taken, copies):
    """Write the files of some jobs, and those that are no job's, to a folder."""
    copies = {copy: source for copy, source in copies.items() if job_of(copy) in taken}
    wanted = {None, *taken}
    unpack_parts(
        folder, index, target, lambda name: job_of(name) in wanted or name in copies.values()
    )
    for copy, source in copies.items():
        (target / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target / source, target / copy)


def _require_same_run(folder, here, job):
    """Refuse a run that was made with other flags or inputs than that of the same name here."""
    if job["training"] is None or not (here / "config.json").exists():
        return
    record = read_run_record(here)
    ours, theirs = (
        {**fields, "initial_weights": _names_in(fields["initial_weights"])}
        for fields in (record.config.to_json(), complete_training(job["training"]))
    )
    # What lies elsewhere on the other machine is compared below. A run of other steps or patience
    # ends elsewhere, so neither of the two is further than the other.
    may_differ = PATHS | COMPUTATION | INTERVALS
    differing = [
        f"--{name} is {theirs[name]} there and {ours.get(name)} here"
        for name in theirs
        if name not in may_differ and theirs[name] != ours.get(name)
    ]
    if record.config.uses_vgg:
        differing += _other_vgg_weights(job, theirs["vgg_weights"], record)
    # What an earlier version does not tell is no difference.
    if job.get("stages") and record.stages and job["stages"] != record.stages:
        differing.append("the trainings of --initial_weights differ")
    differing += _other_data(job, record.data_sha256, record.folders)
    if differing:
        raise UserError(
            f"--handover={folder}: its run {here.parent.name}/{here.name} is not the one in "
            f"--workdir ({'; '.join(differing)}); name another --workdir or --handover"
        )


def _names_in(initial_weights):
    """Return the names of the first weights, which may lie in other folders on this machine.

    Jobs of one fold and seed differ in the row alone.
    """
    parts = (part.strip() for part in str(initial_weights).split(","))
    return ",".join(job_in(part) or pathlib.PurePath(part).name for part in parts if part)


def _other_vgg_weights(job, theirs, record):
    """Return in words how the VGG16 weights of a run differ from those of a job, in a list."""
    ours = record.config.vgg_weights
    if (theirs == "random") != (ours == "random"):
        return [f"--vgg_weights is {theirs} there and {ours} here"]
    # Keras's own file, named imagenet, has no hash.
    there, here = job.get("vgg_weights_sha256"), record.vgg_weights_sha256
    differ = None not in (there, here) and there != here
    return ["the files of VGG16 weights differ"] if differ else []


def _other_data(job, data_sha256, folders):
    """Return in words how data differ from those of a job, in a list; empty for the same.

    What an earlier version does not tell is no difference.
    """
    split = split_hash_in(folders)
    if job.get("data_sha256") != data_sha256:
        return ["the data differs"]
    if None not in (split, job.get("split_sha256")) and job["split_sha256"] != split:
        return ["the patients are dealt to other folds"]
    if job.get("further_data", mixed_in(folders)) != mixed_in(folders):
        return ["the further data or their shares differ"]
    return []


def _require_data(folder, data, jobs):
    """Refuse other data than those of jobs, whose configuration is to get the path of the data."""
    folders_of = functools.cache(functools.partial(describe_data, data))
    for name, job in jobs.items():
        # A job that failed at once has no run.
        if job["training"] is None:
            continue
        folders = folders_of(int(_JOB.fullmatch(name)["fold"]))
        if differing := _other_data(job, folders[0]["data_sha256"], folders):
            raise UserError(
                f"--data={data}: {name} in --handover={folder} was trained otherwise "
                f"({differing[0]}); give its data, or name another --handover"
            )


def _is_behind(here, job):
    """Tell whether a job here has done less than in the handover."""
    record = read_job(here)
    if here.exists() or record:
        ours = _rank(record.get("status"), latest_step(here))
    else:
        ours = (False, -2)
    return ours < _rank(job["state"], job["step"])


def _rank(state, step):
    return (True, 0) if state == "done" else (False, -1 if step is None else step)


def _set_paths(run, jobs, root, data):
    """Give the configuration of a run the paths of this machine."""
    config = run / "config.json"
    if not config.is_file():
        return
    record = read_json(config)
    training = record["training"]
    training["data"] = data
    needed = job_in(training.get("reconstruction_run", ""))
    if needed in jobs:
        training["reconstruction_run"] = str((root / needed).absolute())
    write_json(config, record)


def _put(source, target):
    """Replace a job by an unpacked one; the record, which tells that it is done, comes last."""
    target.parent.mkdir(parents=True, exist_ok=True)
    record = target.with_name(f"{target.name}.json")
    # The second lock is that of a training which no job has started.
    with folder_lock(target, beside=True), folder_lock(target):
        record.unlink(missing_ok=True)
        if source.is_dir():
            with atomic_path(target) as temporary:
                os.replace(source, temporary)
                # TensorBoard's files are not handed over.
                if (target / "logs").is_dir():
                    shutil.copytree(target / "logs", temporary / "logs")
        for suffix in (".log", ".json"):
            file = source.with_name(f"{source.name}{suffix}")
            with contextlib.suppress(FileNotFoundError):
                sync(file)
                os.replace(file, target.with_name(file.name))
