"""Presets: named configurations, each given by its differences from the paper's.

A row of the paper's tables (`xctrs_tf.models.catalogue.ROWS`) can be combined with a
preset: ``demo+table1-vgg``. A row followed by ``published`` is trained as by the authors
of its network: ``demo+table2-x2ctgan+published``.
"""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.models.catalogue import ROWS
from xctrs_tf.training.config import TrainingConfig

# For runs of few steps: half the widths, a learning rate that comes to rest,
# mirrored patients, and a cross-entropy, without which most vertebrae were never
# predicted (docs/results.md). Where both segmentations are certain and wrong alike, RSC's
# divergence holds them there unless its target is a constant (docs/results.md).
_SHORT = {
    "width": 0.5,
    "schedule": "cosine",
    "cross_entropy_weight": 1.0,
    "stop_gradient_on_target": True,
    "augment": "mirror",
}

# After a row in --preset.
PUBLISHED = "published"

PRESETS = {
    # The paper: 128^3, all terms, Adam 1e-3.
    "paper": {},
    # Trains in minutes on two CPU cores. A balanced cross-entropy finds all the
    # vertebrae, which Dice or a plain one may miss for good, but makes them too
    # large; so it fades out, and the paper's terms have the second half. Its
    # gradient into SpaDRNet needs larger weights of the reconstruction's losses.
    "demo": {
        **_SHORT,
        "size": 32,
        "batch_size": 2,
        "steps": 1000,
        "learning_rate": 2e-3,
        "validate_every": 250,
        "cross_entropy_balance": 0.5,
        "cross_entropy_fade": 0.5,
        "mae_weight": 40.0,
        "vgg_weight": 4e-7,
        "vgg_slices": 1,
    },
    # Trains in hours on two CPU cores.
    "half64": {**_SHORT, "size": 64, "steps": 3000, "vgg_slices": 2},
}


def fitting_preset(size):
    """Return the name of the preset for data of a size, None if there is none.

    Args:
        size: voxels a side.
    """
    return next((name for name in PRESETS if preset_config(name).size == size), None)


def preset_config(name, **changes):
    """Return the configuration of a preset, with changes.

    Args:
        name: key of `PRESETS` or of `catalogue.ROWS`, or several joined by ``+``, of which
            later ones override earlier ones; `PUBLISHED` after a row.
        **changes: fields of `TrainingConfig`.

    Returns:
        `TrainingConfig`, not yet checked.

    Raises:
        UserError: for an unknown name.
    """
    fields, row = {}, None
    for part in name.split("+"):
        if part == PUBLISHED and row is not None:
            fields |= row.training(published=True)
        elif part in ROWS:
            row = ROWS[part]
            fields |= row.training(published=False)
        elif part in PRESETS:
            fields |= PRESETS[part]
        else:
            names = ", ".join((*PRESETS, *ROWS))
            raise UserError(
                f"--preset={part}: one of {names}, or several joined by +; {PUBLISHED} after a row"
            )
    return dataclasses.replace(TrainingConfig(), **{**fields, **changes})
