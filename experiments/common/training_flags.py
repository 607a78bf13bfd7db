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


def define(without=()):
    """Make a flag of every field; left out on the command line, it is the preset's.

    Args:
        without: names of fields that the program decides itself.
    """
    for field in dataclasses.fields(TrainingConfig):
        if field.name not in without:
            text = f"{field.metadata['help']} (paper preset: {field.default})"
            _DEFINE[field.type](field.name, None, text)


def given():
    """Dict from field to value of the flags on the command line."""
    names = (field.name for field in dataclasses.fields(TrainingConfig))
    values = {name: flags.FLAGS[name].value for name in names if name in flags.FLAGS}
    return {name: value for name, value in values.items() if value is not None}
