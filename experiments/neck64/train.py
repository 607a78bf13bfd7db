"""Train the model that comes with the package, stage by stage.

    python -m experiments.neck64.train --data=NECKS --phantoms=PHANTOMS --workdir=RUNS

Each stage is a run of experiments.train in RUNS/<stage>, whose command is printed; a
stopped one is continued by the same command. docs/neck64.md tells where the data come
from, why the stages are so, and how the last one is evaluated and packed.
"""

import sys

from absl import flags

from experiments.common import cli
from experiments.common.shipping import Stage, run_stages

_ALL = ("--size=64", "--width=0.5")
# Fold of the real necks: no choice was ever made on its test patients.
_FOLD = "--fold=9"
_MAE_ALONE = ("--vgg_weight=0", "--dice_weight=0", "--rsc_weight=0")
# Without it most vertebrae were never predicted (docs/results.md).
_CROSS_ENTROPY = (
    *("--cross_entropy_weight=1", "--cross_entropy_balance=0.5", "--cross_entropy_fade=0.5"),
)
# Every second sample keeps the clean films that the model is tested on.
_AUGMENT = "--augment=mirror,pose,films:0.5"
# All terms of the paper.
_ALL_TERMS = (
    *(*_ALL, _FOLD, "--mae_weight=40", "--vgg_weight=4e-6", "--vgg_slices=2", "--rsc_weight=1"),
    *("--stop_gradient_on_target", _AUGMENT, "--schedule=cosine", "--ema_momentum=0.99"),
)
STAGES = (
    Stage(
        "phantoms",
        (
            *(*_ALL, "--fold=0", *_MAE_ALONE),
            *("--steps=800", "--validate_every=400", "--augment=mirror,films"),
        ),
        samples=(("phantoms", 1.0),),
    ),
    Stage(
        "reconstruction",
        (
            *(*_ALL, _FOLD, *_MAE_ALONE, _AUGMENT),
            *("--schedule=cosine", "--steps=5000", "--validate_every=500"),
            "--ema_momentum=0.995",
        ),
        begins_with=("phantoms",),
    ),
    Stage(
        "segmentation",
        (
            *(*_ALL, _FOLD, "--reconstruction=none", "--rsc_weight=0", *_CROSS_ENTROPY),
            *("--schedule=cosine", "--steps=3000", "--validate_every=500"),
            *("--augment=mirror,pose", "--ema_momentum=0.99"),
        ),
    ),
    Stage(
        "joint",
        (
            *_ALL_TERMS,
            *_CROSS_ENTROPY,
            *("--learning_rate=5e-4", "--steps=650", "--validate_every=325"),
        ),
        begins_with=("reconstruction", "segmentation"),
    ),
    Stage(
        "continued",
        (*_ALL_TERMS, "--steps=1100", "--validate_every=550"),
        begins_with=("joint",),
    ),
)

FLAGS = flags.FlagValues()
DATA = flags.DEFINE_string("data", None, "Prepared real necks, 64^3.", flag_values=FLAGS)
PHANTOMS = flags.DEFINE_string("phantoms", None, "Prepared phantoms, 64^3.", flag_values=FLAGS)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the runs.", flag_values=FLAGS)
VGG_WEIGHTS = flags.DEFINE_string(
    "vgg_weights", "imagenet", "As of experiments.train.", flag_values=FLAGS
)
ONLY = flags.DEFINE_list(
    "stages",
    [stage.name for stage in STAGES],
    "Stages to run, in the order of the recipe.",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["data", "phantoms", "workdir"], flag_values=FLAGS)


def execute():
    """Run the stages that the flags name."""
    vgg_weights = f"--vgg_weights={VGG_WEIGHTS.value}"
    folders = {"data": DATA.value, "phantoms": PHANTOMS.value}
    run_stages(STAGES, ONLY.value, folders, WORKDIR.value, [vgg_weights])


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
