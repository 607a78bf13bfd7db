"""Train X-CTRSNet on prepared data.

    python -m experiments.train --preset=paper --data=DATA --fold=0 --workdir=RUN

The same command resumes a run that was stopped or killed. docs/training.md has what to
do for memory, several GPUs and clusters.
"""

import contextlib
import math
import sys
import time

from absl import flags

from experiments.common import cli, training_flags
from experiments.common.presets import PRESETS, preset_config
from experiments.common.privacy import define_share, private_files
from xctrs_tf.errors import UserError
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.training.interruption import end_like_ctrl_c

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "preset",
    "paper",
    f"configuration to start from: {', '.join(PRESETS)}; a row of the paper's tables may be laid "
    f"over it with +, as paper+table1-vgg, and +published after a row trains it as its authors do: "
    f"{', '.join(ROWS)}",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "workdir", None, "run folder: checkpoints, logs, config.json", flag_values=FLAGS
)
flags.DEFINE_float(
    "max_minutes",
    None,
    "save and end after this time; the same command goes on",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)

training_flags.define(FLAGS)
training_flags.define_epochs(FLAGS)


def execute():
    """Train as the flags say."""
    deadline = time.monotonic() + 60.0 * (FLAGS.max_minutes or math.inf)
    if not FLAGS.workdir:
        raise UserError("--workdir is missing: name the run's folder")
    config = config_from_flags()
    config.check()
    if FLAGS.max_minutes is not None and FLAGS.max_minutes <= 0:
        raise UserError(f"--max_minutes={FLAGS.max_minutes}: must be above 0")
    cli.load_tensorflow(config.fpmath)
    from xctrs_tf.training.loop import Interrupted, train

    # Before, nothing is written, and an exception would come out of the middle of an import.
    end_like_ctrl_c()
    try:
        with private_files(SHARE.value):
            train(config, FLAGS.workdir, deadline)
    except Interrupted as interruption:
        # The terminal may be what is gone.
        with contextlib.suppress(OSError):
            print(interruption, file=sys.stderr)
        return cli.EXIT_INTERRUPTED
    return 0


def config_from_flags():
    """Return the preset's configuration with the given flags applied."""
    config = preset_config(FLAGS.preset, **training_flags.given(FLAGS))
    return training_flags.in_steps(config, FLAGS)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
