"""What the networks that the paper compares with minimise themselves.

The paper's tables need none of it for the segmentation networks if all of them
are trained with its Dice (Eq. 15). X2CT-GAN's losses are in
`xctrs_tf.losses.adversarial`.

An objective of `PUBLISHED_OBJECTIVES` is a function ``(y_true, outputs)``:

* ``y_true``: one-hot labels, ``(batch, x, y, z, classes)``;
* ``outputs``: dict of the network's outputs, ``segmentation`` and the training
  heads that its docstring names;

and gives a float32 scalar.
"""

from keras import ops

from xctrs_tf.layers.reductions import spatial_sum
from xctrs_tf.losses.context_residual import binary_cross_entropy, context_residual_loss
from xctrs_tf.losses.cross_entropy import cross_entropy, weighted_cross_entropy
from xctrs_tf.losses.dice import dice_loss

_DSN_WEIGHTS = {"segmentation": 1.0, "aux1": 0.2, "aux2": 0.4}
_RESIDUAL_WEIGHTS = {"residual1": 1.0, "residual2": 0.5, "residual4": 0.5}


def unet3d_objective(y_true, outputs):
    """3D U-Net: cross-entropy in which every class counts alike.

    The original weights the classes by hand, its data having labels of few
    slices; here the weights follow from the labels' volumes.
    """
    return cross_entropy(y_true, outputs["segmentation"], balance=1.0)


def dsn_objective(y_true, outputs):
    """DSN: cross-entropy of the output and of both auxiliary ones, 1 : 0.2 : 0.4."""
    return sum(
        weight * cross_entropy(y_true, outputs[head]) for head, weight in _DSN_WEIGHTS.items()
    )


def densebiasnet_objective(y_true, outputs):
    """DenseBiasNet: cross-entropy."""
    return cross_entropy(y_true, outputs["segmentation"])


def cs2net_objective(y_true, outputs):
    """CS2-Net: (CE + 0.6 weighted CE + 0.4 Dice loss) / 3.

    A class weighs as much as it is missing from the prediction: the sum of 1 - p
    over that of p, which gets no gradient.
    """
    y_pred = ops.cast(outputs["segmentation"], "float32")
    y_fixed = ops.stop_gradient(y_pred)
    present = spatial_sum(y_fixed) / spatial_sum(ops.ones_like(y_fixed))
    # A class that is nowhere predicted would outweigh the others without bound.
    weights = (1.0 - present) / ops.maximum(present, 1e-6)
    weighted = weighted_cross_entropy(y_true, y_pred, weights)
    dice = dice_loss(y_true, y_pred, include_background=True)
    return (cross_entropy(y_true, y_pred) + 0.6 * weighted + 0.4 * dice) / 3.0


def conresnet_objective(y_true, outputs):
    """ConResNet: Dice and binary cross-entropy, and the residual heads at 1, 0.5 and 0.5."""
    y_pred = outputs["segmentation"]
    loss = dice_loss(y_true, y_pred) + binary_cross_entropy(y_true, y_pred)
    return loss + sum(
        weight * context_residual_loss(y_true, outputs[head])
        for head, weight in _RESIDUAL_WEIGHTS.items()
    )


PUBLISHED_OBJECTIVES = {
    "unet3d": unet3d_objective,
    "dsn": dsn_objective,
    "densebiasnet": densebiasnet_objective,
    "cs2net": cs2net_objective,
    "conresnet": conresnet_objective,
}
