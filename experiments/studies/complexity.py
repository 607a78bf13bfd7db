"""Print parameters and operations of the networks beside the paper's.

python -m experiments.studies.complexity --size=128
python -m experiments.studies.complexity --layers=unet3d
"""

import dataclasses
import json
import sys

from absl import flags

from experiments.common import cli
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.tables.paper import COUNTS, PAPER_SIZE
from xctrs_tf.geometry import SIZES

FLAGS = flags.FlagValues()
flags.DEFINE_integer(
    "size", 128, f"voxels a side: one of {', '.join(map(str, SIZES))}", flag_values=FLAGS
)
flags.DEFINE_enum(
    "format", "table", ["table", "json"], "table for people, json for programs", flag_values=FLAGS
)
flags.DEFINE_string("layers", None, "list this network layer by layer", flag_values=FLAGS)

NOTE = """\
FLOPs for one patient: all operations at 2 per multiply-add; profiler FLOPs: the paper's
convention, TensorFlow 1's profiler, which counts no transposed convolution. DSN, ConResNet and
X2CTGAN are counted with the heads that only training needs, as the paper's counts imply.
The paper does not give SpaDRNet's layers: ours is the regular design closest to its counts, not a
match (docs/fidelity.md). Neither does it give those of the networks that it compares with:
docs/compared_networks.md says which counts are met and which design each rests on. X2CTGAN is the
published generator, which the paper's count cannot be.
Of Table 3 only MulSISNet's operations are the network's own. The other five rows contain a
near-constant of about 357 G that nobody has identified: it is what remains in the difference of
every row whose parameters are met (more in DenseBiasNet's, whose design is the least certain)."""


def complexity(size):
    """Count the parameters and operations of every network.

    Args:
        size: voxels a side.

    Returns:
        List of dicts with ``name``, ``trainable_parameters``, ``flops``,
        ``profiler_flops``, ``paper_parameters`` and ``paper_flops``; the
        paper's operations are None at sizes other than 128.
    """
    from xctrs_tf.evaluation.tables.cost import network_counts
    from xctrs_tf.models.catalogue import NETWORKS

    rows = []
    for name, (paper_parameters, paper_flops) in COUNTS.items():
        counts = network_counts(name, size)
        rows.append(
            {
                "name": NETWORKS[name].factory.__name__,
                "trainable_parameters": counts["parameters"],
                "flops": counts["flops"],
                "profiler_flops": counts["profiler_flops"],
                "paper_parameters": paper_parameters,
                "paper_flops": paper_flops if size == PAPER_SIZE else None,
            }
        )
    return rows


def network_layers(name, size):
    """Count every layer call of one network.

    Args:
        name: as in `COUNTS`.
        size: voxels a side.

    Returns:
        List of dicts with the fields of `xctrs_tf.models.complexity.LayerCost`,
        in execution order.
    """
    from xctrs_tf.models.complexity import network_costs

    return [dataclasses.asdict(cost) for cost in network_costs(name, size)]


def table(rows):
    """Format the rows of `complexity` as aligned text."""
    lines = [
        f"{'network':<12} {'parameters':>12} {'paper':>12} {'difference':>24}"
        f" {'FLOPs':>18} {'profiler FLOPs':>18} {'paper':>18} {'difference':>27}"
    ]
    for row in rows:
        parameters = _with_paper(row["trainable_parameters"], row["paper_parameters"], 12, 24)
        operations = _with_paper(row["profiler_flops"], row["paper_flops"], 18, 27)
        lines.append(f"{row['name']:<12} {parameters} {row['flops']:>18,} {operations}")
    return "\n".join(lines)


def _with_paper(ours, paper, width, difference_width):
    if paper is None:
        return f"{ours:>{width},} {'-':>{width}} {'-':>{difference_width}}"
    difference = f"{ours - paper:+,} ({(ours - paper) / paper:+.3%})"
    return f"{ours:>{width},} {paper:>{width},} {difference:>{difference_width}}"


def layer_table(rows):
    """Format the rows of `network_layers` as aligned text, with their sums."""
    columns = ("trainable_parameters", "flops", "profiler_flops")
    wide = max(len(row["name"]) for row in rows)
    lines = [
        f"{'layer':<{wide}} {'kind':<24} {'output':<24} {'parameters':>12}"
        f" {'FLOPs':>18} {'profiler FLOPs':>18}"
    ]
    total = {column: sum(row[column] for row in rows) for column in columns}
    for row in [*rows, {"name": "total", "kind": "", "output_shape": (), **total}]:
        shape = " x ".join(map(str, row["output_shape"]))
        parameters, flops, profiler_flops = (row[column] for column in columns)
        lines.append(
            f"{row['name']:<{wide}} {row['kind']:<24} {shape:<24} {parameters:>12,}"
            f" {flops:>18,} {profiler_flops:>18,}"
        )
    return "\n".join(lines)


def execute():
    """Print the counts."""
    if FLAGS.size not in SIZES:
        raise UserError(f"--size={FLAGS.size}: must be one of {', '.join(map(str, SIZES))}")
    if FLAGS.layers is not None and FLAGS.layers not in COUNTS:
        raise UserError(f"--layers={FLAGS.layers}: must be one of {', '.join(COUNTS)}")
    cli.load_tensorflow()
    if FLAGS.layers:
        rows = network_layers(FLAGS.layers, FLAGS.size)
        text = layer_table(rows)
    else:
        rows = complexity(FLAGS.size)
        text = f"{table(rows)}\n\n{NOTE}"
    print(json.dumps(rows, indent=1) if FLAGS.format == "json" else text)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
