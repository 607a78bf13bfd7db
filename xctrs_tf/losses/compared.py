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

from xctrs_tf.losses.conresnet_loss import conresnet_objective
from xctrs_tf.losses.cross_entropy import cross_entropy
from xctrs_tf.losses.cs2net_loss import cs2net_objective
from xctrs_tf.losses.reconstruction import mean_absolute_error

# Weights of X2CT-GAN's published configuration. The first also weights the
# discriminator's loss; the voxel loss is the mean squared error.
ADVERSARIAL_WEIGHT = 0.1
VOXEL_WEIGHT = 10.0
PROJECTION_WEIGHT = 10.0

_DSN_WEIGHTS = {"segmentation": 5.0, "aux1": 1.0, "aux2": 2.0}
# Added to DenseBiasNet's probabilities before the logarithm.
_SMOOTHING = 1e-6


# === X2CT-GAN ===


def discriminator_loss(scores_of_truth, scores_of_reconstruction):
    """Return the least-squares GAN loss of the discriminator, with its weight.

    Both terms are mean squares, without the factor 1/2 of the LSGAN's publication, as
    in X2CT-GAN's program.

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
    return ADVERSARIAL_WEIGHT * distance


def adversarial_loss(scores_of_reconstruction):
    """Return the least-squares GAN loss of the generator, a mean square, without its weight.

    Args:
        scores_of_reconstruction: the discriminator's scores of the generator's
            CTs, ``(batch, x, y, z, 1)``; trained towards 1.

    Returns:
        float32 scalar.
    """
    return _mean_square(scores_of_reconstruction, 1.0)


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

    The original sets the class weights by hand, and its labels cover only few
    slices; here the weights follow from the volumes of the patient's labels.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    return cross_entropy(y_true, outputs["segmentation"], balance=1.0)


def dsn_objective(y_true, outputs):
    """Return DSN's loss: cross-entropy of the output and both auxiliary outputs.

    Their weights are 5, 1 and 2.

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
    """Return DenseBiasNet's loss: the mean of -y log(p + 1e-6) over voxels and classes.

    It is the usual cross-entropy divided by the number of classes.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.cast(outputs["segmentation"], "float32")
    return -ops.mean(y_true * ops.log(y_pred + _SMOOTHING))


PUBLISHED_OBJECTIVES = {
    "unet3d": unet3d_objective,
    "dsn": dsn_objective,
    "densebiasnet": densebiasnet_objective,
    "cs2net": cs2net_objective,
    "conresnet": conresnet_objective,
}
