"""Train the network of experiments.segment, which comes with the package as vertebrae64.

    python -m experiments.segment.train --data=NECKS --phantoms=PHANTOMS \\
        --fine_phantoms=FINE --workdir=RUNS

NECKS are real necks and the others phantoms, all prepared with --size=64, NECKS and FINE with
--keep_scan: most of what the network must tell from C1 to C7 lies outside the crops. Each stage
is a run of experiments.train in RUNS/<stage>, whose command is printed; a stopped one is continued
by the same command. docs/segmenting.md tells why the recipe is so, and how its result is
evaluated and packed.
"""

import sys

from absl import flags

from experiments.common import cli
from experiments.common.shipping import Stage, run_stages

# The folds of the real necks are those of neck64, with whose weights the training begins: no
# test patient of fold 9 was ever trained on.
_ALL = (
    *("--fold=9", "--size=64", "--width=0.5", "--reconstruction=none", "--rsc_weight=0"),
    # Dice says nothing of cubes without vertebrae.
    *("--cross_entropy_balance=0.5", "--schedule=cosine"),
    *("--checkpoint_every=200", "--ema_momentum=0.99"),
)
STAGES = (
    Stage(
        "cubes",
        (
            *(*_ALL, "--augment=mirror,cubes", "--cross_entropy_weight=5"),
            *("--steps=3400", "--validate_every=425", "--initial_weights=neck64"),
        ),
        samples=(("data", 0.8), ("phantoms", 0.2)),
    ),
    # Every second sample is a neck as the last windows of the segmenter show it.
    Stage(
        "necks",
        (
            *(*_ALL, "--augment=mirror,pose,cubes:0.5", "--cross_entropy_weight=2"),
            *("--steps=1700", "--validate_every=425", "--learning_rate=5e-4"),
        ),
        samples=(("data", 0.85), ("phantoms", 0.15)),
        begins_with=("cubes",),
    ),
    # The same with phantoms whose bone and soft tissue mix in the voxels as in a CT.
    Stage(
        "continued",
        (
            *(*_ALL, "--augment=mirror,pose,cubes:0.5", "--cross_entropy_weight=2"),
            *("--steps=2200", "--validate_every=550", "--learning_rate=5e-4", "--seed=1"),
        ),
        samples=(("data", 0.85), ("phantoms", 0.05), ("fine_phantoms", 0.1)),
        begins_with=("necks",),
    ),
)

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string(
    "data", None, "Prepared real necks, 64^3, with --keep_scan.", flag_values=FLAGS
)
PHANTOMS = flags.DEFINE_string(
    "phantoms",
    None,
    "Prepared phantoms, 64^3, for a part of the samples; without it all are real necks.",
    flag_values=FLAGS,
)
FINE_PHANTOMS = flags.DEFINE_string(
    "fine_phantoms",
    None,
    "Phantoms prepared with --phantom_spacing_mm=1.25 --keep_scan, for a part of the samples of "
    "the last stage.",
    flag_values=FLAGS,
)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", flag_values=FLAGS)
ONLY = flags.DEFINE_list(
    "stages",
    [stage.name for stage in STAGES],
    "Stages to run, in the order of the recipe.",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["data", "workdir"], flag_values=FLAGS)


def execute():
    """Run the stages that the flags name."""
    folders = {
        "data": DATA.value,
        "phantoms": PHANTOMS.value,
        "fine_phantoms": FINE_PHANTOMS.value,
    }
    run_stages(STAGES, ONLY.value, folders, WORKDIR.value)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
