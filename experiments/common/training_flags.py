"""The fields of a training configuration as flags."""

import dataclasses

from absl import flags

from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.errors import UserError
from xctrs_tf.training.config import TrainingConfig

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
# Lengths that suit rows with batches of different sizes.
_EPOCHS = {
    "epochs": "passes through the training patients, in place of --steps",
    "validation_epochs": "epochs between validations, and between checkpoints, in place of "
    "--validate_every and --checkpoint_every",
}
_REPLACED = {"epochs": ("steps",), "validation_epochs": ("validate_every", "checkpoint_every")}
# Headings of --help.
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
        *("steps", "batch_size", "accumulation", "optimizer", "learning_rate", "beta_1", "beta_2"),
        *("momentum", "weight_decay"),
        *("schedule", "clip_norm", "ema_momentum", "patience", "validate_every"),
        *("checkpoint_every", *_EPOCHS, "seed"),
    ),
    "Training: machine": (*("precision", "fpmath", "remat", "strategy", "deterministic"),),
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


def define_epochs(flag_values):
    """Define flags that give the length of a run and of its parts in epochs.

    Args:
        flag_values: `flags.FlagValues` of the program.
    """
    for name, text in _EPOCHS.items():
        flags.DEFINE_integer(name, None, text, flag_values=flag_values)


def given_epochs(flag_values):
    """Return a dict of the flags of `define_epochs` on the command line.

    Args:
        flag_values: `flags.FlagValues` of the program.
    """
    return {name: flag_values[name].value for name in _EPOCHS if flag_values[name].present}


def in_steps(config, flag_values):
    """Return a configuration whose steps are those of the epochs on the command line.

    Args:
        config: `TrainingConfig`, checked if there are such flags.
        flag_values: `flags.FlagValues` of the program.

    Raises:
        UserError: a number of epochs that is not above 0, or steps given besides.
    """
    epochs = given_epochs(flag_values)
    if not epochs:
        return config
    for name, value in epochs.items():
        if value < 1:
            raise UserError(f"--{name}={value}: must be above 0")
    for name in epochs:
        for other in _REPLACED[name]:
            if flag_values[other].present:
                raise UserError(f"--{name} and --{other} exclude each other: give one")
    config.check()
    patients = sum(len(part.ids) for part in open_parts(config.data, config.fold))
    # The samples go on where an epoch ends within a batch.
    lengths = {
        other: max(1, round(n * patients / config.batch_size))
        for name, n in epochs.items()
        for other in _REPLACED[name]
    }
    return dataclasses.replace(config, **lengths)
