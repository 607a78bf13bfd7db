"""Print parameters and operations of the networks beside the paper's.

python -m experiments.complexity --size=128
"""

import json

from absl import flags

from experiments import cli
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import SIZES

FLAGS = flags.FLAGS

flags.DEFINE_integer("size", 128, f"voxels a side: one of {', '.join(map(str, SIZES))}")
flags.DEFINE_enum("format", "table", ["table", "json"], "table for people, json for programs")

# Tables 2 and 3 of the paper, at 128^3.
PAPER = {
    "SpaDRNet": {"paper_parameters": 22_992_322, "paper_flops": 216_830_517_469},
    "MulSISNet": {"paper_parameters": 4_410_136, "paper_flops": 658_383_183_305},
}
PAPER_SIZE = 128

NOTE = (
    "FLOPs for one patient: all operations at 2 per multiply-add; profiler FLOPs: the paper's "
    "convention, TensorFlow 1's profiler, which counts no transposed convolution.\n"
    "The paper does not give SpaDRNet's layers: ours is the regular design closest to its counts, "
    "not a match (docs/fidelity.md)."
)


def complexity(size):
    """Counts of every network.

    Args:
        size: voxels a side.

    Returns:
        List of dicts with ``name``, ``trainable_parameters``, ``flops``,
        ``profiler_flops``, ``paper_parameters`` and ``paper_flops``; the
        paper's operations are None at sizes other than 128.
    """
    from xctrs_tf.models import MulSISNet, SpaDRNet
    from xctrs_tf.models.complexity import layer_costs, trainable_parameters

    rows = []
    for factory in (SpaDRNet, MulSISNet):
        model = factory(size, batch_size=1)
        costs = layer_costs(model)
        row = {
            "name": factory.__name__,
            "trainable_parameters": trainable_parameters(model),
            "flops": sum(cost.flops for cost in costs),
            "profiler_flops": sum(cost.profiler_flops for cost in costs),
            **PAPER[factory.__name__],
        }
        if size != PAPER_SIZE:
            row["paper_flops"] = None
        rows.append(row)
    return rows


def table(rows):
    """The rows as aligned text."""
    lines = [
        f"{'network':<10} {'parameters':>12} {'paper':>12} {'difference':>20}"
        f" {'FLOPs':>18} {'profiler FLOPs':>18} {'paper':>18} {'difference':>22}"
    ]
    for row in rows:
        parameters = _with_paper(row["trainable_parameters"], row["paper_parameters"], 12, 20)
        operations = _with_paper(row["profiler_flops"], row["paper_flops"], 18, 22)
        lines.append(f"{row['name']:<10} {parameters} {row['flops']:>18,} {operations}")
    return "\n".join(lines)


def _with_paper(ours, paper, width, difference_width):
    if paper is None:
        return f"{ours:>{width},} {'-':>{width}} {'-':>{difference_width}}"
    difference = f"{ours - paper:+,} ({(ours - paper) / paper:+.3%})"
    return f"{ours:>{width},} {paper:>{width},} {difference:>{difference_width}}"


def main():
    """Print the counts."""
    if FLAGS.size not in SIZES:
        raise UserError(f"--size={FLAGS.size}: must be one of {', '.join(map(str, SIZES))}")
    cli.load_tensorflow()
    rows = complexity(FLAGS.size)
    print(json.dumps(rows, indent=1) if FLAGS.format == "json" else f"{table(rows)}\n\n{NOTE}")


if __name__ == "__main__":
    cli.run(main)
