"""The configuration of a training run, and where its fields may differ."""

from xctrs_tf.training.config.training_config import (
    FREEZABLE,
    NO_RECONSTRUCTION,
    PRECISIONS,
    TrainingConfig,
)

__all__ = ["FREEZABLE", "NO_RECONSTRUCTION", "PRECISIONS", "TrainingConfig"]
