"""Checkpoints that are complete or absent.

A checkpoint is a folder ``step-00000500/``. ``model.weights.h5`` holds the weights of
the whole model of a run with both networks, for `XCTRSNet.load_weights`. A network
without the other has a file of its own, ``reconstruction.weights.h5`` or
``segmentation.weights.h5``, as has the discriminator. Every optimizer has an
``.npz``, and ``state.json`` holds the hashes of the other files. The folder is
written under a temporary name and renamed. A damaged checkpoint is skipped with a
warning.
"""

import contextlib
import json
import logging
import math
import pathlib
import re
import shutil

import numpy as np

from xctrs_tf.errors import UserError, os_error_text
from xctrs_tf.files import atomic_path, read_json, require_space, sha256_of

KEEP = 2
_BYTES_A_VARIABLE = 8192
_STATE = "state.json"
_WEIGHTS = ".weights.h5"
_WHOLE = "model"
_STEP = re.compile(r"step-(\d{8,})")


def save(folder, networks, optimizers, state):
    """Write one checkpoint folder atomically.

    Args:
        folder: path of the checkpoint.
        networks: dict from name to model.
        optimizers: dict from name to built Keras optimizer; may be empty.
        state: JSON-serialisable dict.

    Raises:
        UserError: it cannot be written, for example on a full disk.
    """
    folder = pathlib.Path(folder)
    with _in_words(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            # On a full disk HDF5 prints tracebacks of its own, and may end the process.
            require_space(temporary, _bytes_of(networks, optimizers))
            _write(temporary, networks, optimizers, state)


def check_space(run, networks, optimizers):
    """Raise UserError unless a run folder takes one more checkpoint.

    Args:
        run: the run folder.
        networks: dict from name to model.
        optimizers: dict from name to built Keras optimizer.
    """
    with _in_words(run):
        require_space(run, _bytes_of(networks, optimizers))


@contextlib.contextmanager
def _in_words(path):
    try:
        yield
    # HDF5 raises RuntimeError where it cannot close a file.
    except (OSError, RuntimeError) as error:
        raise UserError(f"{os_error_text(error, path)}; earlier checkpoints are whole") from error


def _bytes_of(networks, optimizers):
    """Return at least the size of a checkpoint; HDF5 needs some kilobytes a variable."""
    saved = [variable for each in networks.values() for variable in each.variables]
    saved += [variable for each in optimizers.values() for variable in each.variables]
    return sum(math.prod(variable.shape) * 8 + _BYTES_A_VARIABLE for variable in saved)


def _write(folder, networks, optimizers, state):
    for name, model in _models(networks).items():
        model.save_weights(folder / _weights_file(name))
    for name, optimizer in optimizers.items():
        variables = {}
        optimizer.save_own_variables(variables)
        np.savez(folder / f"{name}.npz", **variables)
    hashes = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
    record = {**state, "seeds": _seed_values(networks), "sha256": hashes}
    (folder / _STATE).write_text(json.dumps(record, indent=1), encoding="utf-8")


def save_step(run, step, networks, optimizers, state):
    """Save the checkpoint of a step; remove those before the last two whole ones."""
    root = pathlib.Path(run) / "checkpoints"
    new = root / _step_name(step)
    save(new, networks, optimizers, {"step": step, **state})
    whole = 1
    for folder in _step_folders(root):
        if folder == new:
            continue
        if whole >= KEEP:
            shutil.rmtree(folder)
        elif read_state(folder) is not None:
            whole += 1


def restore_latest(run, networks, optimizers):
    """Load the newest complete checkpoint of a run.

    Args:
        run: the run folder.
        networks: dict from name to built model.
        optimizers: dict from name to built Keras optimizer.

    Returns:
        The checkpoint's state with its ``step``, or None if there is none.

    Raises:
        UserError: the checkpoint is whole, but of other networks.
    """
    folder, state = _newest(run)
    if folder is None:
        return None
    try:
        load_weights(folder, networks)
        load_optimizers(folder, optimizers)
        _set_seeds(networks, state.get("seeds", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder}: does not fit the networks ({reason}); remove it, or name another --workdir"
        ) from error
    return state


def has_begun(run):
    """Return whether a run folder has a checkpoint, whole or damaged."""
    run = pathlib.Path(run)
    return (run / "best").exists() or bool(_step_folders(run / "checkpoints"))


def latest(run):
    """Return the folder of the newest complete checkpoint of a run, or None.

    Every damaged one is a warning.
    """
    folder, _ = _newest(run)
    return folder


def latest_step(run):
    """Return the step of the newest complete checkpoint of a run, or None.

    Every damaged one is a warning.
    """
    _, state = _newest(run)
    return state and state["step"]


def read_state(folder):
    """Read the state of a checkpoint folder; None if any of its files is damaged."""
    folder = pathlib.Path(folder)
    try:
        state = read_json(folder / _STATE)
        # A name with a folder in it would be another file's.
        whole = isinstance(state["step"], int) and all(
            name == pathlib.PurePath(name).name and sha256_of(folder / name) == sha
            for name, sha in state["sha256"].items()
        )
        weights = any(name.endswith(_WEIGHTS) for name in state["sha256"])
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return state if whole and weights else None


def load_weights(folder, networks):
    """Load the weights of a checkpoint folder.

    Args:
        folder: path of the checkpoint.
        networks: dict from name to built model, with all networks of the run but
            perhaps the discriminator.
    """
    folder = pathlib.Path(folder)
    models = _models(networks) if (folder / _weights_file(_WHOLE)).exists() else networks
    for name, model in models.items():
        model.load_weights(folder / _weights_file(name))


def load_optimizers(folder, optimizers):
    """Load the variables of a checkpoint folder into built optimizers.

    Args:
        folder: `pathlib.Path` of the checkpoint.
        optimizers: dict from name to built Keras optimizer.

    Raises:
        ValueError: a file is of an optimizer with another number of variables.
    """
    for name, optimizer in optimizers.items():
        with np.load(folder / f"{name}.npz") as variables:
            # Keras only warns, and would go on with moments of 0.
            if len(variables.files) != len(optimizer.variables):
                raise ValueError(
                    f"{name}.npz has {len(variables.files)} variables and the optimizer "
                    f"{len(optimizer.variables)}"
                )
            optimizer.load_own_variables(dict(variables))


def _newest(run):
    """Return folder and state of the newest complete checkpoint, or None and None."""
    folders = _step_folders(pathlib.Path(run) / "checkpoints")
    for folder in folders:
        state = read_state(folder)
        if state is not None:
            return folder, state
        logging.warning("checkpoint %s is damaged: trying the one before", folder)
    if folders:
        logging.warning("%s: no whole checkpoint is left", run)
    return None, None


def _models(networks):
    """Return the models whose weights have a file each, by name of the file.

    The whole model is composed of the networks and shares their weights.
    """
    if not {"reconstruction", "segmentation"} <= networks.keys():
        return networks
    # Imports Keras, which a look at the checkpoints does without.
    from xctrs_tf.models import XCTRSNet

    others = dict(networks)
    pair = {name: others.pop(name) for name in ("reconstruction", "segmentation")}
    size = pair["reconstruction"].input["ap"].shape[1]
    return {_WHOLE: XCTRSNet(size, **pair), **others}


def _weights_file(name):
    return f"{name}{_WEIGHTS}"


def _step_name(step):
    return f"step-{step:08d}"


def _step_folders(root):
    """Return the checkpoints of a run, the newest first; other names are left alone."""
    found = [folder for folder in root.glob("step-*") if _STEP.fullmatch(folder.name)]
    folders = [folder for folder in found if folder.is_dir()]
    return sorted(folders, key=lambda folder: int(folder.name.partition("-")[2]), reverse=True)


def _seed_values(networks):
    """Return the state of dropout by network; Keras does not save it with the weights."""
    return {
        name: [seed.numpy().tolist() for seed in _seeds(network)]
        for name, network in networks.items()
        if _seeds(network)
    }


def _set_seeds(networks, values):
    for name, of_network in values.items():
        for seed, value in zip(_seeds(networks[name]), of_network, strict=True):
            seed.assign(value)


def _seeds(network):
    return [v for v in network.non_trainable_variables if v.name == "seed_generator_state"]
