"""Published objectives of the networks that the paper compares with.

They are an alternative to training every network alike: every segmentation
network with the Dice loss of Eq. 15, every reconstruction network with a voxel
loss.

X2CT-GAN is trained against a discriminator, with three terms of its own:
`discriminator_loss`, `adversarial_loss` and `projection_loss`. (X. Ying et al.,
"X2CT-GAN: reconstructing CT from biplanar X-rays with generative adversarial
networks", CVPR 2019.)

The objective of a segmentation network, a value of `PUBLISHED_OBJECTIVES`, is a
function ``(y_true, outputs)``:

* ``y_true``: one-hot labels, ``(batch, x, y, z, classes)``;
* ``outputs``: dict of the network's outputs, ``segmentation`` and the training
  heads that its docstring names;

and returns a float32 scalar.
"""

from keras import ops

from xctrs_tf.layers.reductions import spatial_sum
from xctrs_tf.layers.slice_difference import slice_difference
from xctrs_tf.losses.cross_entropy import cross_entropy, weighted_cross_entropy
from xctrs_tf.losses.dice import dice_loss
from xctrs_tf.losses.reconstruction import mean_absolute_error

# Weights of X2CT-GAN's published configuration. The first also weights the
# discriminator's loss; the voxel loss is the mean squared error.
ADVERSARIAL_WEIGHT = 0.1
VOXEL_WEIGHT = 10.0
PROJECTION_WEIGHT = 10.0

_DSN_WEIGHTS = {"segmentation": 1.0, "aux1": 0.2, "aux2": 0.4}
_RESIDUAL_WEIGHTS = {"residual1": 1.0, "residual2": 0.5, "residual4": 0.5}
# Bounds of ConResNet's probabilities; they limit the logarithm.
_PROBABILITY_BOUNDS = (1e-3, 1.0 - 1e-3)


# === X2CT-GAN ===


def discriminator_loss(scores_of_truth, scores_of_reconstruction):
    """Return the least-squares GAN loss of the discriminator, with its weight.

    Args:
        scores_of_truth: scores of the patients' CTs, ``(batch, x, y, z, 1)``;
            trained towards 1.
        scores_of_reconstruction: scores of the generator's CTs, same shape;
            trained towards 0. Stop the gradient to the generator before the
            discriminator runs.

    Returns:
        float32 scalar.
    """
    distance = _mean_square(scores_of_truth, 1.0) + _mean_square(scores_of_reconstruction, 0.0)
    return ADVERSARIAL_WEIGHT * 0.5 * distance


def adversarial_loss(scores_of_reconstruction):
    """Return the least-squares GAN loss of the generator, without its weight.

    Args:
        scores_of_reconstruction: the discriminator's scores of the generator's
            CTs, ``(batch, x, y, z, 1)``; trained towards 1.

    Returns:
        float32 scalar.
    """
    return 0.5 * _mean_square(scores_of_reconstruction, 1.0)


def projection_loss(y_true, y_pred):
    """Return the mean absolute difference of the mean projections along x, y and z.

    Args:
        y_true: CT in [0, 1], ``(batch, x, y, z, 1)``.
        y_pred: reconstruction, same shape.

    Returns:
        float32 scalar, mean over patients, pixels and the three axes.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    losses = [
        mean_absolute_error(ops.mean(y_true, axis=axis), ops.mean(y_pred, axis=axis))
        for axis in (1, 2, 3)
    ]
    return sum(losses) / 3.0


def _mean_square(x, target):
    return ops.mean(ops.square(ops.cast(x, "float32") - target))


# === Segmentation networks ===


def unet3d_objective(y_true, outputs):
    """Return 3D U-Net's loss: cross-entropy in which every class weighs the same.

    The original sets the class weights by hand, because its labels cover only
    few slices; here the weights follow from the volumes of the labels.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    return cross_entropy(y_true, outputs["segmentation"], balance=1.0)


def dsn_objective(y_true, outputs):
    """Return DSN's loss: cross-entropy of the output and both auxiliary outputs.

    The three are weighted 1 : 0.2 : 0.4.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, ``aux1`` and ``aux2``, same shape.

    Returns:
        float32 scalar.
    """
    return sum(
        weight * cross_entropy(y_true, outputs[head]) for head, weight in _DSN_WEIGHTS.items()
    )


def densebiasnet_objective(y_true, outputs):
    """Return DenseBiasNet's loss: cross-entropy.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    return cross_entropy(y_true, outputs["segmentation"])


def cs2net_objective(y_true, outputs):
    """Return CS2-Net's loss: (CE + 0.6 weighted CE + 0.4 Dice loss) / 3.

    The weight of a class is the sum of 1 - p over the sum of p, where p is its
    predicted probability; the weights get no gradient.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    y_pred = ops.cast(outputs["segmentation"], "float32")
    y_fixed = ops.stop_gradient(y_pred)
    share = spatial_sum(y_fixed) / spatial_sum(ops.ones_like(y_fixed))
    # The lower bound keeps the weight of a class without predictions finite.
    weights = (1.0 - share) / ops.maximum(share, 1e-6)
    weighted = weighted_cross_entropy(y_true, y_pred, weights)
    dice = dice_loss(y_true, y_pred, include_background=True)
    return (cross_entropy(y_true, y_pred) + 0.6 * weighted + 0.4 * dice) / 3.0


def conresnet_objective(y_true, outputs):
    """Return ConResNet's loss: Dice, binary cross-entropy and the residual heads.

    The residual heads are weighted 1, 0.5 and 0.5, finest first.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, ``residual1``, ``residual2`` and
            ``residual4``, same shape.

    Returns:
        float32 scalar.
    """
    y_pred = outputs["segmentation"]
    loss = dice_loss(y_true, y_pred) + binary_cross_entropy(y_true, y_pred)
    return loss + sum(
        weight * context_residual_loss(y_true, outputs[head])
        for head, weight in _RESIDUAL_WEIGHTS.items()
    )


def binary_cross_entropy(y_true, y_pred, positive_weight=1.0):
    """Return the cross-entropy of every class against the rest.

    Args:
        y_true: zeros and ones, ``(batch, x, y, z, classes)``.
        y_pred: probabilities, same shape; clipped to [0.001, 0.999].
        positive_weight: weight of the ones; a scalar or
            ``(batch, 1, 1, 1, classes)``.

    Returns:
        float32 scalar, mean over patients, voxels and classes.
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.clip(ops.cast(y_pred, "float32"), *_PROBABILITY_BOUNDS)
    ones = positive_weight * y_true * ops.log(y_pred)
    zeros = (1.0 - y_true) * ops.log(1.0 - y_pred)
    return -ops.mean(ones + zeros)


def context_residual_loss(y_true, y_pred):
    """Return ConResNet's cross-entropy of the label changes between axial slices.

    The target is 1 where the label differs from that of the slice below. Such
    voxels are rare: if t of V voxels are, each of them weighs ln(V / (t + 1)).

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``; the target is
            computed from them.
        y_pred: probabilities of a residual head, same shape.

    Returns:
        float32 scalar.
    """
    target = slice_difference(ops.cast(y_true, "float32"))
    voxels = target.shape[1] * target.shape[2] * target.shape[3]
    positives = ops.sum(target, axis=(1, 2, 3), keepdims=True)
    return binary_cross_entropy(target, y_pred, ops.log(voxels / (positives + 1.0)))


PUBLISHED_OBJECTIVES = {
    "unet3d": unet3d_objective,
    "dsn": dsn_objective,
    "densebiasnet": densebiasnet_objective,
    "cs2net": cs2net_objective,
    "conresnet": conresnet_objective,
}
