"""One model under every protocol, as a grid, from the figures of every patient."""

from xctrs_tf.evaluation.statistics import mean_sd
from xctrs_tf.evaluation.tables.grids import Grid
from xctrs_tf.metrics import PROTOCOLS

# Columns of the CSV that are no figure.
_KEYS = ("id", "method")


def protocol_grid(lines):
    """Mean and standard deviation of every figure, and what each protocol is.

    Args:
        lines: dicts of `method`, `id` and a figure a protocol, `<protocol>_<figure>`;
            numbers, or strings as of a CSV.

    Returns:
        `Grid`.
    """
    methods = list(dict.fromkeys(line["method"] for line in lines))
    rows = []
    for figure in (key for key in lines[0] if key not in _KEYS):
        protocol, _, name = figure.partition("_")
        digits = 2 if name.startswith("psnr") else 3
        columns = (
            [float(line[figure]) for line in lines if line["method"] == method]
            for method in methods
        )
        cells = ["{:.{d}f} ± {:.{d}f}".format(*mean_sd(values), d=digits) for values in columns]
        rows.append([f"{protocol}: {name.replace('_', ', ').upper()}", *cells])
    count = len({line["id"] for line in lines})
    notes = [f"{count} patient{'s' if count > 1 else ''}, mean ± SD; PSNR in dB."]
    notes += [f"{name}: {each.__doc__.splitlines()[0]}" for name, each in PROTOCOLS.items()]
    return Grid("The same volumes under every protocol", ["", *methods], rows, notes)
