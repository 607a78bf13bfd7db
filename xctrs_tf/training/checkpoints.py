"""Checkpoints that are complete or absent.

A checkpoint is a folder ``step-00000500/``. ``model.weights.h5`` holds the weights of
the whole model of a run with both networks, for `XCTRSNet.load_weights`. A network
without the other has a file of its own, ``reconstruction.weights.h5`` or
``segmentation.weights.h5``, as has the discriminator. Every optimizer has an
``.npz``, and ``state.json`` holds the hashes of the other files. The folder is
written under a temporary name and renamed. A damaged checkpoint is skipped with a
warning.
"""

import hashlib
import json
import logging
import pathlib
import shutil

import numpy as np

from xctrs_tf.files import atomic_path
from xctrs_tf.models import XCTRSNet

KEEP = 2
_STATE = "state.json"
_WHOLE = "model"


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
        for name, model in _models(networks).items():
            model.save_weights(temporary / _weights_file(name))
        for name, optimizer in optimizers.items():
            variables = {}
            optimizer.save_own_variables(variables)
            np.savez(temporary / f"{name}.npz", **variables)
        hashes = {file.name: _sha256(file) for file in sorted(temporary.iterdir())}
        record = {**state, "seeds": _seed_values(networks), "sha256": hashes}
        (temporary / _STATE).write_text(json.dumps(record, indent=1), encoding="utf-8")


def save_step(run, step, networks, optimizers, state):
    """Save the checkpoint of a step and remove all but the last two."""
    root = pathlib.Path(run) / "checkpoints"
    save(root / f"step-{step:08d}", networks, optimizers, {"step": step, **state})
    for old in sorted(root.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)


def restore_latest(run, networks, optimizers):
    """Load the newest complete checkpoint of a run.

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
    """Return the folder of the newest complete checkpoint of a run, or None."""
    folders = sorted((pathlib.Path(run) / "checkpoints").glob("step-*"), reverse=True)
    return next((folder for folder in folders if read_state(folder) is not None), None)


def read_state(folder):
    """Read the state of a checkpoint folder; None if any of its files is damaged."""
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        whole = all(_sha256(folder / name) == sha for name, sha in state["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    return state if whole else None


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
    """Load the variables of a checkpoint folder into built optimizers."""
    for name, optimizer in optimizers.items():
        with np.load(folder / f"{name}.npz") as variables:
            optimizer.load_own_variables(dict(variables))


def _models(networks):
    """Return the models whose weights have a file each, by name of the file.

    The whole model is composed of the networks and shares their weights.
    """
    if not {"reconstruction", "segmentation"} <= networks.keys():
        return networks
    others = dict(networks)
    pair = {name: others.pop(name) for name in ("reconstruction", "segmentation")}
    size = pair["reconstruction"].input["ap"].shape[1]
    return {_WHOLE: XCTRSNet(size, **pair), **others}


def _weights_file(name):
    return f"{name}.weights.h5"


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


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
