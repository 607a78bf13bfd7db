"""Checkpoints that are whole or not there.

A checkpoint is a folder ``step-00000500/`` of one ``.weights.h5`` a network, one
``.npz`` an optimizer and ``state.json``, which holds the other files' hashes. It is
written beside its name and renamed. A damaged one is passed over, aloud, for
the one before.
"""

import hashlib
import json
import logging
import pathlib
import shutil

import numpy as np

from xctrs_tf.files import atomic_path

KEEP = 2
_STATE = "state.json"


def save(folder, networks, optimizers, state):
    """Write one checkpoint folder atomically.

    Args:
        folder: path of the checkpoint.
        networks: dict from name to model.
        optimizers: dict from name to built Keras optimizer; may be empty.
        state: JSON-serialisable dict.
    """
    folder = pathlib.Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, network in networks.items():
            network.save_weights(temporary / f"{name}.weights.h5")
        for name, optimizer in optimizers.items():
            variables = {}
            optimizer.save_own_variables(variables)
            np.savez(temporary / f"{name}.npz", **variables)
        hashes = {file.name: _sha256(file) for file in sorted(temporary.iterdir())}
        record = {**state, "seeds": _seed_values(networks), "sha256": hashes}
        (temporary / _STATE).write_text(json.dumps(record, indent=1), encoding="utf-8")


def save_step(run, step, networks, optimizers, state):
    """Save the checkpoint of a step and remove those before the last two."""
    root = pathlib.Path(run) / "checkpoints"
    save(root / f"step-{step:08d}", networks, optimizers, {"step": step, **state})
    for old in sorted(root.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)


def restore_latest(run, networks, optimizers):
    """Load the newest whole checkpoint of a run.

    Args:
        run: the run folder.
        networks: dict from name to built model.
        optimizers: dict from name to built Keras optimizer.

    Returns:
        The checkpoint's state with its ``step``, or None if there is none.
    """
    for folder in sorted((pathlib.Path(run) / "checkpoints").glob("step-*"), reverse=True):
        state = read_state(folder)
        if state is None:
            logging.warning("checkpoint %s is damaged: trying the one before", folder)
            continue
        load_weights(folder, networks)
        load_optimizers(folder, optimizers)
        _set_seeds(networks, state.get("seeds", {}))
        return state
    return None


def latest(run):
    """Folder of the newest whole checkpoint of a run, or None."""
    folders = sorted((pathlib.Path(run) / "checkpoints").glob("step-*"), reverse=True)
    return next((folder for folder in folders if read_state(folder) is not None), None)


def read_state(folder):
    """State of a checkpoint folder, or None if any file of it is damaged."""
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        whole = all(_sha256(folder / name) == sha for name, sha in state["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    return state if whole else None


def load_weights(folder, networks):
    """Load a checkpoint folder's weights into models."""
    for name, network in networks.items():
        network.load_weights(folder / f"{name}.weights.h5")


def load_optimizers(folder, optimizers):
    """Load a checkpoint folder's slots, counts and averages into built optimizers."""
    for name, optimizer in optimizers.items():
        with np.load(folder / f"{name}.npz") as variables:
            optimizer.load_own_variables(dict(variables))


def _seed_values(networks):
    """The state of dropout, which Keras leaves out of the weights; dict by network."""
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


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
