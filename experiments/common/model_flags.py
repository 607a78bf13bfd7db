"""Flags of the programs that predict with models."""

from absl import flags

GROUPS = {"Prediction": None}


def define_mirror(flag_values):
    """Define --mirror on a program's flag values, and return the flag."""
    return flags.DEFINE_boolean(
        "mirror",
        False,
        "Predict the mirrored patient too, mirror the result back, and average CT and "
        "probabilities; takes twice the time. For films of parallel rays.",
        flag_values=flag_values,
    )
