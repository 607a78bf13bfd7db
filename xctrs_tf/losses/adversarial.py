"""X2CT-GAN's losses: least-squares GAN, voxels and projections.

X. Ying et al., "X2CT-GAN: reconstructing CT from biplanar X-rays with
generative adversarial networks", CVPR 2019.
"""

from keras import ops

from xctrs_tf.losses.reconstruction import mean_absolute_error

# Weights of the published configuration: the generator's terms, its voxel loss a
# mean squared error; the first also weighs the discriminator's loss.
ADVERSARIAL_WEIGHT = 0.1
VOXEL_WEIGHT = 10.0
PROJECTION_WEIGHT = 10.0


def discriminator_loss(scores_of_truth, scores_of_reconstruction):
    """Least-squares loss of the discriminator, with its weight.

    Args:
        scores_of_truth: of the patients' CTs, `(batch, x, y, z, 1)`; pulled to 1.
        scores_of_reconstruction: of the generator's CTs, same shape; pulled to
            0. Stop the gradient to the generator before the discriminator runs.

    Returns:
        float32 scalar.
    """
    distance = _mean_square(scores_of_truth, 1.0) + _mean_square(scores_of_reconstruction, 0.0)
    return ADVERSARIAL_WEIGHT * 0.5 * distance


def adversarial_loss(scores_of_reconstruction):
    """Least-squares loss of the generator, without its weight.

    Args:
        scores_of_reconstruction: of the discriminator on the generator's CTs,
            `(batch, x, y, z, 1)`; pulled to 1.

    Returns:
        float32 scalar.
    """
    return 0.5 * _mean_square(scores_of_reconstruction, 1.0)


def projection_loss(y_true, y_pred):
    """Mean absolute difference of the mean projections along x, y and z.

    Arguments and result are those of `mean_absolute_error`.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    losses = [
        mean_absolute_error(ops.mean(y_true, axis=axis), ops.mean(y_pred, axis=axis))
        for axis in (1, 2, 3)
    ]
    return sum(losses) / 3.0


def _mean_square(x, target):
    return ops.mean(ops.square(ops.cast(x, "float32") - target))
