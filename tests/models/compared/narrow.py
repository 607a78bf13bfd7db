"""Narrow versions of the compared networks, for fast tests."""

import functools

import numpy as np

from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.compared import X2CTDiscriminator

RECONSTRUCTION, SEGMENTATION = (
    {
        n.name: n.factory
        for n in NETWORKS.values()
        if n.task == task and n.table and n.published_objective
    }
    for task in ("reconstruction", "segmentation")
)
WITH_TRAINING_HEADS = tuple(n.name for n in NETWORKS.values() if n.training_heads)

FACTORIES = {**RECONSTRUCTION, **SEGMENTATION, "x2ct_discriminator": X2CTDiscriminator}
NAMES = list(FACTORIES)

_ARGUMENTS = {
    "sit": {"width": 1 / 16},
    "psr": {"width": 1 / 64},
    "x2ctgan": {"width": 1 / 8, "dense_layers": (1, 1, 1, 1, 1)},
    "x2ct_discriminator": {"width": 1 / 16},
    **{name: {"width": 1 / 4, "num_classes": 5} for name in SEGMENTATION},
}


def narrow(name, size=32, **arguments):
    """Return a narrow network with all its training heads."""
    heads = {"training_heads": True} if name in WITH_TRAINING_HEADS else {}
    return FACTORIES[name](size, **{**_ARGUMENTS[name], **heads, **arguments})


@functools.cache
def shared(name):
    """Return a shared network. Tests must not change it."""
    return narrow(name)


def inputs_of(name, size=32, batch=2, seed=0):
    """Return random inputs of a network: films, a CT, or both."""
    rng = np.random.default_rng(seed)
    films = {view: rng.random((batch, size, size, 1), np.float32) for view in ("ap", "la")}
    ct = rng.random((batch, size, size, size, 1), np.float32)
    if name in RECONSTRUCTION:
        return films
    return ct if name in SEGMENTATION else {"ct": ct, **films}


def as_dict(outputs):
    """Return the outputs of a network as a dict."""
    return outputs if isinstance(outputs, dict) else {"output": outputs}


def used(outputs):
    """Return the output that remains without the training heads."""
    return outputs["segmentation" if "segmentation" in outputs else "ct"]
