"""Named configurations, each the paper's with what is different from it.

``table1/...`` are the rows of Table 1: what is switched off until the next row.
"""

import dataclasses

from xctrs_tf.errors import UserError
from xctrs_tf.training.config import TrainingConfig

# For runs of few steps: half the widths, a learning rate that comes to rest,
# mirrored patients, and a cross-entropy, without which Dice needs thousands of
# steps to get going.
_SHORT = {
    "width": 0.5,
    "schedule": "cosine",
    "cross_entropy_weight": 1.0,
    "augment": "mirror",
}

PRESETS = {
    # The paper: 128^3, all terms, Adam 1e-3.
    "paper": {},
    # What two CPU cores can learn in minutes. Balanced, the cross-entropy finds
    # the vertebrae soonest; its gradient into SpaDRNet is then so large that the
    # losses of the reconstruction need larger weights beside it.
    "demo": {
        **_SHORT,
        "size": 32,
        "batch_size": 2,
        "steps": 1000,
        "learning_rate": 2e-3,
        "validate_every": 250,
        "balanced_cross_entropy": True,
        "mae_weight": 40.0,
        "vgg_weight": 4e-6,
        "vgg_slices": 1,
    },
    # What two CPU cores can learn in hours.
    "half64": {**_SHORT, "size": 64, "steps": 3000, "vgg_slices": 2},
    "table1/spadrnet": {"vgg_weight": 0.0, "dice_weight": 0.0, "rsc_weight": 0.0},
    "table1/vgg": {"dice_weight": 0.0, "rsc_weight": 0.0},
    "table1/mulsisnet": {"rsc_weight": 0.0},
    "table1/xctrsnet": {},
}


def preset_config(name, **changes):
    """The configuration of a preset with flags laid over it.

    Args:
        name: key of `PRESETS`.
        **changes: fields of `TrainingConfig`.

    Returns:
        `TrainingConfig`, not yet checked.

    Raises:
        UserError: for an unknown name.
    """
    if name not in PRESETS:
        raise UserError(f"--preset={name}: one of {', '.join(PRESETS)}")
    return dataclasses.replace(TrainingConfig(), **{**PRESETS[name], **changes})
