"""Loss terms of X-CTRSNet: `keras.ops`, float32 inside, float32 scalars out."""

from xctrs_tf.losses.cross_entropy import cross_entropy
from xctrs_tf.losses.dice import dice_loss, one_hot, soft_dice
from xctrs_tf.losses.reconstruction import mean_absolute_error
from xctrs_tf.losses.rsc import rsc_loss, rsc_terms
from xctrs_tf.losses.vgg import MultiViewVGG

__all__ = [
    "MultiViewVGG",
    "cross_entropy",
    "dice_loss",
    "mean_absolute_error",
    "one_hot",
    "rsc_loss",
    "rsc_terms",
    "soft_dice",
]
