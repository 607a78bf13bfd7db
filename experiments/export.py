"""Export a training run for TensorFlow Serving and experiments.reconstruct.

    python -m experiments.export --workdir=RUN --output=MODELS/xctrsnet

Writes the next version, MODELS/xctrsnet/1, 2, ..., and prints its path.
"""

import os

from absl import flags, logging

from experiments import cli
from xctrs_tf.training.config import read_config

WORKDIR = flags.DEFINE_string("workdir", None, "Run folder of experiments.train.")
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "best", ["best", "last"], "Weights: lowest validation loss, or newest."
)
OUTPUT = flags.DEFINE_string("output", None, "Folder of versions; made if it is not there.")


def main():
    """Export the run that the flags name."""
    read_config(WORKDIR.value)
    # A training run may hold the GPU, and saving needs none.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    cli.load_tensorflow()
    # TensorFlow tells every step of saving as INFO.
    logging.set_verbosity(logging.WARNING)
    from xctrs_tf.serving.export import export_run
    from xctrs_tf.training.runs import load_run

    print(export_run(load_run(WORKDIR.value, CHECKPOINT.value), OUTPUT.value))


if __name__ == "__main__":
    flags.mark_flags_as_required(["workdir", "output"])
    cli.run(main)
