"""Loss terms: `keras.ops`, float32 inside, float32 scalars out."""

from xctrs_tf.losses.compared import (
    ADVERSARIAL_WEIGHT,
    PROJECTION_WEIGHT,
    PUBLISHED_OBJECTIVES,
    VOXEL_WEIGHT,
    adversarial_loss,
    discriminator_loss,
    projection_loss,
)
from xctrs_tf.losses.cross_entropy import cross_entropy
from xctrs_tf.losses.dice import dice_loss, one_hot, soft_dice
from xctrs_tf.losses.reconstruction import mean_absolute_error, mean_squared_error
from xctrs_tf.losses.rsc import rsc_terms
from xctrs_tf.losses.vgg import MultiViewVGG

__all__ = [
    "ADVERSARIAL_WEIGHT",
    "PROJECTION_WEIGHT",
    "PUBLISHED_OBJECTIVES",
    "VOXEL_WEIGHT",
    "MultiViewVGG",
    "adversarial_loss",
    "cross_entropy",
    "dice_loss",
    "discriminator_loss",
    "mean_absolute_error",
    "mean_squared_error",
    "one_hot",
    "projection_loss",
    "rsc_terms",
    "soft_dice",
]
