"""Cost of the networks of a table: parameters, operations, seconds per patient.

The first half measures the networks; the second makes the grid and the CSV lines.
"""

import statistics
import time

import numpy as np

from xctrs_tf.evaluation.tables import paper
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid
from xctrs_tf.models.catalogue import NETWORKS, TABLE_ROWS


def network_counts(name, size, width=1.0):
    """Count the parameters and operations of a network, as the paper does.

    Args:
        name: of `xctrs_tf.models.catalogue`.
        size: voxels a side.
        width: factor on every width.

    Returns:
        Dict of ``parameters``, ``flops`` (all operations) and ``profiler_flops``
        (the paper's convention).

    Ge et al. (2022), Table 2, 3.
    """
    # Keras takes seconds to load, and the grids need none.
    from xctrs_tf.models.complexity import network_costs

    costs = network_costs(name, size, width)
    return {
        "parameters": sum(cost.trainable_parameters for cost in costs),
        "flops": sum(cost.flops for cost in costs),
        "profiler_flops": sum(cost.profiler_flops for cost in costs),
    }


def inference_seconds(names, size, width, repeats, progress=iter):
    """Measure the inference time of each network for one patient on this machine.

    The networks are compiled and called in turns, so that other programs slow all of
    them alike. The first call of each, which compiles it, does not count.

    Args:
        names: of `xctrs_tf.models.catalogue`.
        size: voxels a side.
        width: factor on every width.
        repeats: calls of each.
        progress: function over the turns, for a bar.

    Returns:
        Dict from name to a dict of ``median``, ``min``, ``max`` and ``repeats``.
    """
    import keras

    rng = np.random.default_rng(0)
    films = {view: rng.random((1, size, size, 1), np.float32) for view in ("ap", "la")}
    ct = rng.random((1, size, size, size, 1), np.float32)
    models = {}
    # XLA on CPUs is slower for TensorFlow; JAX without it runs operation by operation.
    options = {} if keras.backend.backend() == "jax" else {"jit_compile": False}
    for name in names:
        models[name] = NETWORKS[name].factory(size=size, width=width)
        models[name].compile(**options)
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


def cost_grid(results, table):
    """Lay out parameters, operations and seconds of every method, the paper's beside ours.

    Args:
        results: `Results`; without its `complexity` only the paper's are there.
        table: `comparison.Table`.

    Returns:
        `TableGrid`.
    """
    measured = results.complexity
    here = "as run" if measured is None else f"as run ({measured['size']}^3)"
    headings = ["", "parameters: paper", "ours at 128^3", here]
    headings += ["operations (G): paper", "ours at 128^3", here, "seconds a patient: paper", here]
    lines = []
    for row in _counted_rows(table):
        costs = method_costs(results, table, row)
        lines.append(
            [
                TABLE_ROWS[row].title,
                *(_text(costs[key], "{:,}") for key in _keys("parameters")),
                *(_text(costs[key], "{:,.2f}", 1e-9) for key in _keys("flops")),
                _text(costs["seconds_paper"], "{:.3f}"),
                _text(costs["seconds_run"], "{:.3f}"),
            ]
        )
    return TableGrid(f"{table.number}: cost", headings, lines, _notes(measured, table))


def cost_lines(results, table):
    """Yield the figures of `cost_grid` for the CSV.

    Args:
        results: `Results`.
        table: `comparison.Table`.

    Yields:
        Row and dict of `figure`, `mean` (as run) and `paper_mean`.
    """
    for row in _counted_rows(table):
        costs = method_costs(results, table, row)
        for figure in ("parameters", "flops", "seconds"):
            ours, printed = costs[f"{figure}_run"], costs[f"{figure}_paper"]
            yield row, {"figure": figure, "mean": ours, "paper_mean": printed}
            if figure != "seconds":
                yield row, {"figure": f"{figure}_at_128", "mean": costs[f"{figure}_128"]}


def method_costs(results, table, row):
    """Sum the costs of a method's networks that the table counts.

    Args:
        results: `Results`.
        table: `comparison.Table`.
        row: name in `models.catalogue.ROWS`.

    Returns:
        Dict of `parameters_`, `flops_` and `seconds_`, each followed by `paper`,
        `128` (but for seconds) and `run`; None where there is none.
    """
    networks = TABLE_ROWS[row].networks
    if table.part is not None:
        networks = [name for name in networks if NETWORKS[name].task == table.part]
    printed = paper.PRINTED_TABLES[table.name].get(row)
    costs = {
        f"{figure}_paper": getattr(printed, figure, None)
        for figure in ("parameters", "flops", "seconds")
    }
    known = results.complexity["networks"] if results.complexity else {}
    measured = [known.get(name) for name in networks]
    # The costs may be older than a network.
    measured = None if None in measured else measured
    for figure, key in (("parameters", "parameters"), ("flops", "profiler_flops")):
        for place in ("128", "run"):
            values = measured and [network[f"at_{place}"][key] for network in measured]
            costs[f"{figure}_{place}"] = values and sum(values)
    seconds = measured and [network["seconds"]["median"] for network in measured]
    costs["seconds_run"] = seconds and sum(seconds)
    return costs


def _counted_rows(table):
    return [row for row in table.rows if TABLE_ROWS[row].networks]


def _keys(figure):
    return [f"{figure}_{place}" for place in ("paper", "128", "run")]


def _text(value, form, scale=1):
    return NOTHING if value is None else form.format(value * scale)


def _notes(measured, table):
    notes = [
        "Operations for one patient as the paper counts them, without transposed convolutions "
        "(docs/fidelity.md)."
    ]
    if table.part is None:
        notes.append("All networks of a method, which the paper gives in Tables 2 and 3 only.")
    else:
        notes.append(f"Of the {table.part} network alone. {paper.MACHINE_NOTE}")
    if measured is not None:
        repeats = next(iter(measured["networks"].values()))["seconds"]["repeats"]
        notes.append(
            f"Our seconds: median of {repeats} calls in turns, compiled, on {measured['machine']}; "
            f"widths times {measured['width']:g}."
        )
    return notes
