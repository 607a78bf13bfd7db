"""Provenance of results: command, commit, date, machine and versions."""

import contextlib
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys

from xctrs_tf.processor import cpu_info

# Set by `set_command`.
_known_command = None
_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PACKAGES = (
    "xctrs-tf",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "numpy",
    "scipy",
    "SimpleITK",
    "onnxruntime",
    "openvino",
    "tf2onnx",
)


def collect(n, seed, data_hash, **others):
    """Collect what is needed to reproduce a file of results.

    Args:
        n: number of patients in the file.
        seed: seed of the run.
        data_hash: hash of the prepared data folder.
        **others: further JSON values of the program.

    Returns:
        dict of JSON values: `command`, `commit` (None outside a git checkout),
        `date`, `machine`, `versions`, and the arguments.
    """
    return {
        "command": _command(),
        "commit": commit(),
        "date": now(),
        "machine": ", ".join(
            [
                cpu_info("model name") or platform.machine(),
                _cores(),
                platform.system(),
                *accelerators(),
            ]
        ),
        "versions": versions(),
        "n": n,
        "seed": seed,
        "data_hash": data_hash,
        **others,
    }


def _cores():
    """Return the number of logical cores, and of those that this process may use if not all."""
    count = os.cpu_count()
    # Not on every platform.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count
    return f"{count} logical cores" + (f", {usable} used" if usable != count else "")


def now():
    """Return date and time, UTC, as ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions():
    """Return the versions of Python and of the installed packages that affect results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def accelerators():
    """Return the names of the accelerators of the Keras backend in use."""
    # A backend that was not imported has computed nothing.
    keras = sys.modules.get("keras")
    backend = sys.modules.get(keras.backend.backend()) if keras else None
    if backend is None:
        return []
    if backend.__name__ == "jax":
        return [each.device_kind for each in backend.local_devices() if each.platform != "cpu"]
    gpus = backend.config.list_physical_devices("GPU")
    details = map(backend.config.experimental.get_device_details, gpus)
    return [each.get("device_name", "GPU") for each in details]


def set_command(arguments):
    """Set the command line that results are made by, where a program knows it better.

    Args:
        arguments: list of strings, the first being ``python``, or None for the
            command line of this process.
    """
    global _known_command
    _known_command = arguments


def _command():
    """Return the command line as it was typed; `python -m` hides the module's name."""
    if _known_command is not None:
        return shlex.join(_known_command)
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", specification.name] if specification else sys.argv[:1]
    return shlex.join(["python", *program, *sys.argv[1:]])


def commit():
    """Return the commit of this checkout, with `-dirty` if files differ from it.

    Returns:
        The commit; None outside a git checkout.
    """
    # A package installed inside the checkout of another project has no commit.
    if not (_ROOT / ".git").exists():
        return None
    describe = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        finished = subprocess.run([*describe, "--exclude=*"], capture_output=True, encoding="utf-8")
    except FileNotFoundError:
        return None
    return finished.stdout.strip() or None
