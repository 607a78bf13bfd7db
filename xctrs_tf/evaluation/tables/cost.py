"""Cost of the networks of a table: parameters, operations, seconds per patient."""

import statistics
import time

import numpy as np

from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.complexity import layer_costs, trainable_parameters, without_memory


def network_counts(name, size, width=1.0):
    """Parameters and operations of a network, as the paper counts them.

    Args:
        name: of `xctrs_tf.models.catalogue`.
        size: voxels a side.
        width: factor on every width.

    Returns:
        Dict of ``parameters``, ``flops`` (all operations) and ``profiler_flops``
        (the paper's convention).

    Ge et al. (2022), Table 2, 3.
    """
    model = counted_model(name, size, width)
    costs = layer_costs(model)
    return {
        "parameters": trainable_parameters(model),
        "flops": sum(cost.flops for cost in costs),
        "profiler_flops": sum(cost.profiler_flops for cost in costs),
    }


def counted_model(name, size, width=1.0):
    """A network for one patient, to be counted and not to be run.

    Networks with training heads have the heads that only training needs, as the
    paper's counts imply.

    Args:
        name: of `xctrs_tf.models.catalogue`.
        size: voxels a side.
        width: factor on every width.

    Returns:
        Keras model of `without_memory`.
    """
    heads = {"training_heads": True} if NETWORKS[name].training_heads else {}
    return without_memory(_factory(name), size=size, width=width, batch_size=1, **heads)


def inference_seconds(names, size, width, repeats, progress=iter):
    """Seconds that each network takes for one patient on this machine.

    Compiled, by `predict_on_batch`; the networks take turns, so that whatever else
    runs on the machine slows all of them alike. The first call of each, which
    compiles it, does not count.

    Args:
        names: of `xctrs_tf.models.catalogue`.
        size: voxels a side.
        width: factor on every width.
        repeats: calls of each.
        progress: function over the turns, for a bar.

    Returns:
        Dict from name to a dict of ``median``, ``min``, ``max`` and ``repeats``.
    """
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, size, size, 1), np.float32) for view in ("ap", "la")}
    ct = rng.random((1, size, size, size, 1), np.float32)
    models = {}
    for name in names:
        models[name] = _factory(name)(size=size, width=width)
        models[name].compile(jit_compile=False)
    seconds = {name: [] for name in names}
    for turn in progress(range(repeats + 1)):
        for name, model in models.items():
            began = time.perf_counter()
            model.predict_on_batch(films if NETWORKS[name].task == "reconstruction" else ct)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {
        name: {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "repeats": repeats,
        }
        for name, values in seconds.items()
    }


def _factory(name):
    return NETWORKS[name].factory
