"""The fields of a training configuration as flags."""

import dataclasses

from absl import flags

from xctrs_tf.training.config import TrainingConfig

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
# Headings of --help; the last takes what is left.
GROUPS = {
    "Training: data and networks": (
        *("data", "fold", "size", "augment", "film_normalization"),
        *("reconstruction", "segmentation"),
        *("reconstruction_run", "initial_weights", "freeze", "width"),
    ),
    "Training: loss": (
        *("reconstruction_objective", "segmentation_objective"),
        *("mae_weight", "vgg_weight", "dice_weight", "rsc_weight", "cross_entropy_weight"),
        *("cross_entropy_balance", "cross_entropy_fade"),
        *("vgg_weights", "vgg_layer", "vgg_slices"),
        *("include_background", "stop_gradient_on_target"),
    ),
    "Training: steps and optimiser": (
        *("steps", "batch_size", "accumulation", "learning_rate", "beta_1", "beta_2"),
        *("schedule", "clip_norm", "ema_momentum", "patience", "validate_every"),
        *("checkpoint_every", "seed"),
    ),
    "Training: machine": None,
}


def define(flag_values, without=()):
    """Define a flag for every field; one that is left out has the preset's value.

    Args:
        flag_values: `flags.FlagValues` of the program.
        without: names of fields that the program decides itself.
    """
    for field in dataclasses.fields(TrainingConfig):
        if field.name not in without:
            default = f"'{field.default}'" if field.default == "" else field.default
            text = f"{field.metadata['help']} (paper preset: {default})"
            _DEFINE[field.type](field.name, None, text, flag_values=flag_values)


def given(flag_values):
    """Return a dict from field to value of the flags on the command line.

    Args:
        flag_values: `flags.FlagValues` of the program.
    """
    names = (field.name for field in dataclasses.fields(TrainingConfig))
    values = {name: flag_values[name].value for name in names if name in flag_values}
    return {name: value for name, value in values.items() if value is not None}
