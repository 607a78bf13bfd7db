"""The handover: what another machine needs to go on with a cross-validation, in small files.

It holds of every job the record, the end of the log, the configuration, the history and the
best weights; of a done one also the evaluation without predictions, of any other the newest
checkpoint. TensorBoard's files and what can be computed again are left out. The files are
those of `part_files`; `takeover` reads them.
"""

import contextlib
import filecmp
import pathlib

from xctrs_tf.cross_validation.part_files import FORMAT, INDEX, read_index, write_parts
from xctrs_tf.cross_validation.takeover import BENCHMARKS, job_in, job_of, take_over
from xctrs_tf.errors import UserError, log_lines
from xctrs_tf.evaluation.results.finished_run import read_job
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.training import checkpoints
from xctrs_tf.training.run_record import mixed_in, read_run_record

_LOG_BYTES = 100_000
# Seconds that writing takes at least, and bytes a second on a slow disk.
_FIXED_S, _BYTES_A_SECOND = 10.0, 25e6


@contextlib.contextmanager
def handed_over(folder, root, data):
    """Take over what a folder holds, and at the end write there how far the jobs are.

    It is written however the block ends.

    Args:
        folder: path of the handover, which may be absent or empty; None for no handover.
        root: `pathlib.Path` of the folder of all jobs.
        data: value of ``data`` with absolute paths, which the runs get.

    Yields:
        Nothing.

    Raises:
        UserError: the folder holds anything else or is damaged, its runs are not those of
            ``root``, or another process writes to it.
    """
    if folder is None:
        yield
        return
    folder = pathlib.Path(folder)
    if folder.absolute() == root.absolute():
        raise UserError(f"--handover={folder}: is the --workdir, too; name another folder")
    # Before the lock makes the folder.
    read_index(folder)
    with folder_lock(folder):
        take_over(folder, root, data)
        try:
            yield
        finally:
            print(write_handover(folder, root), flush=True)


def handover_seconds(root):
    """Estimate how long it takes to write a handover.

    Args:
        root: `pathlib.Path` of the folder of all jobs.

    Returns:
        float.
    """
    size = 0
    for file in (*root.glob("*/*/best/*"), *root.glob("*/*/checkpoints/*/*")):
        # A training may be replacing its checkpoints.
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size
    return _FIXED_S + size / _BYTES_A_SECOND


def write_handover(folder, root):
    """Write how far all jobs in a folder are.

    Args:
        folder: `pathlib.Path` of the handover, locked by this process.
        root: `pathlib.Path` of the folder of all jobs.

    Returns:
        One line that tells what was written.
    """
    about = {"format": FORMAT, "done": 0, "begun": 0, "jobs": {}, "copies": {}}
    count, size = write_parts(folder, _members(root, about), about)
    return (
        f"{folder}: {about['done']} done and {about['begun']} begun jobs, {size / 1e6:.1f} MB in "
        f"{count} files and {INDEX}"
    )


def _members(root, about):
    """Yield name and content of all files; note the jobs and what is there twice."""
    for path in sorted(root.glob(BENCHMARKS)):
        yield path.name, path
    for name in _job_names(root):
        try:
            with folder_lock(root / name, beside=True):
                job = _describe(root / name)
                if job is None:
                    continue
                about["jobs"][name] = job
                about["done"] += job["state"] == "done"
                about["begun"] += job["state"] != "done" and job["step"] is not None
                for path in _files(root / name, job):
                    copied = _original(root, path, about["jobs"])
                    if copied is None:
                        yield path.relative_to(root).as_posix(), path
                    else:
                        about["copies"][path.relative_to(root).as_posix()] = copied
                yield f"{name}.log", _end_of(root / f"{name}.log")
        except UserError as error:
            log_lines([f"left out of the handover: {error}"])


def _job_names(root):
    """Return the jobs of a folder as ``table1-vgg/fold-00-seed-0``, those of Table 3 last."""
    found = {path.relative_to(root).as_posix() for row in ROWS for path in root.glob(f"{row}/*")}
    names = {job_of(name.removesuffix(".json")) for name in found} - {None}
    return sorted(names & {name.removesuffix(".json") for name in found})


def _describe(folder):
    """Return what the index says of a job; None if nothing of it is worth keeping."""
    state, step = read_job(folder).get("status", "begun"), checkpoints.latest_step(folder)
    if state == "begun" and step is None:
        return None
    job = {"state": state, "step": step, "training": None}
    # A job that failed at once has no run.
    if (folder / "config.json").exists():
        record = read_run_record(folder)
        job |= {"training": record.config.to_json(), "data_sha256": record.data_sha256}
        job |= {"split_sha256": record.split_sha256, "further_data": mixed_in(record.folders)}
        job |= {"vgg_weights_sha256": record.vgg_weights_sha256, "stages": record.stages}
    return job


def _files(folder, job):
    """Return the files of a job that another machine needs, but the log."""
    patterns = ["config.json", "history.jsonl", "best/*", "reconstruction_run/**/*"]
    if job["state"] == "done":
        patterns += ["evaluation/*.csv", "evaluation/*.json", "evaluation/*.md"]
    elif job["step"] is not None:
        patterns.append(f"checkpoints/{checkpoints.latest(folder).name}/*")
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    # Hidden are what a killed process left, and locks.
    shown = [path for path in found if not any(p[0] == "." for p in path.relative_to(folder).parts)]
    record = folder.with_name(f"{folder.name}.json")
    return [path for path in (*shown, record) if path.is_file()]


def _original(root, path, jobs):
    """Return the equal file of the job that a run's ``reconstruction_run`` was copied from.

    None for any other file, and where that job has no equal file.
    """
    name = path.relative_to(root).as_posix()
    _, _, inside = name.partition("/reconstruction_run/")
    if not inside:
        return None
    needed = job_in(jobs[job_of(name)]["training"]["reconstruction_run"])
    original = root / f"{needed}/{inside}"
    same = needed in jobs and original.is_file() and filecmp.cmp(path, original, shallow=False)
    return f"{needed}/{inside}" if same else None


def _end_of(log):
    if not log.is_file():
        return b""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read()
