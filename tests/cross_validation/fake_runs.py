"""Run folders of a cross-validation that nothing was trained for, with the files of real ones."""

import dataclasses
import hashlib
import json
import shutil

from xctrs_tf.training.config import TrainingConfig

DATA_SHA256 = "d" * 64
DONE = {"status": "done", "commands": ["train", "evaluate"], "seconds": 1, "peak_memory_bytes": 1}


def write(path, content):
    """Write text or bytes to a file in a folder that may be missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fake_checkpoint(folder, step, size=1000):
    """Write a checkpoint whose hashes are right."""
    weights = (f"{folder.name} {step} " * size).encode()[:size]
    write(folder / "reconstruction.weights.h5", weights)
    sha256 = {"reconstruction.weights.h5": hashlib.sha256(weights).hexdigest()}
    if folder.name != "best":
        write(folder / "optimizer.npz", weights[::-1])
        sha256["optimizer.npz"] = hashlib.sha256(weights[::-1]).hexdigest()
    write(folder / "state.json", json.dumps({"step": step, "sha256": sha256}))


def fake_run(root, job, saved=(), record=None, split_sha256=None, **fields):
    """Write the run folder of a job.

    Args:
        root: folder of all jobs.
        job: such as ``table1-vgg/fold-00-seed-0``.
        saved: steps of the checkpoints; the best is that of the first.
        record: dict of the job's record, or None.
        split_sha256: hash of the patients held out; None as of earlier versions.
        **fields: of the configuration.

    Returns:
        The run folder.
    """
    folder = root / job
    config = dataclasses.replace(TrainingConfig(data="/elsewhere/data", steps=90), **fields)
    record_of_run = {"training": config.to_json(), "data_sha256": DATA_SHA256}
    if split_sha256:
        record_of_run["folders"] = [{"split_sha256": split_sha256}]
    write(folder / "config.json", json.dumps(record_of_run))
    write(folder / "history.jsonl", '{"step": 1, "kind": "training"}\n')
    write(folder / "logs" / "events", "of TensorBoard")
    write(folder / "reconstructions" / "p0.npy", "a volume")
    for step in saved:
        fake_checkpoint(folder / "checkpoints" / f"step-{step:08d}", step)
    if saved:
        fake_checkpoint(folder / "best", saved[0])
    if config.reconstruction_run:
        needed = root / "/".join(config.reconstruction_run.split("/")[-2:])
        for part in ("best", "config.json"):
            copy = shutil.copytree if (needed / part).is_dir() else shutil.copy2
            (folder / "reconstruction_run").mkdir(exist_ok=True)
            copy(needed / part, folder / "reconstruction_run" / part)
    if record and record["status"] == "done":
        for name in ("cases.csv", "cases.json", "table.md", "case-p0.png", "predictions/p0.npz"):
            write(folder / "evaluation" / name, name)
    if record:
        write(folder.with_name(f"{folder.name}.json"), json.dumps(record))
    write(folder.with_name(f"{folder.name}.log"), f"log of {job}\n")
    return folder


def files(folder):
    """Return the names of all files in a folder."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in found)
