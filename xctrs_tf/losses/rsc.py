"""Reconstruction-segmentation consistency (Eq. 16)."""

from keras import ops

from xctrs_tf.losses.dice import dice_loss


def rsc_terms(
    y_true,
    segmentation_of_ct,
    segmentation_of_reconstruction,
    include_background=False,
    stop_gradient_on_target=False,
):
    """Return the two terms of the RSC loss.

    The first term trains the segmentation network on the real CT. The second
    trains the reconstruction to be segmented as the real CT is. Eq. 16 prints the
    sum of two Dice values; 1 - Dice of each is minimised.

    Both sides of the second term are probabilities: it is 0 only where the two
    segmentations agree and are certain.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        segmentation_of_ct: probabilities that the segmentation network gives
            for the ground truth CT, same shape.
        segmentation_of_reconstruction: its probabilities for the
            reconstruction, same shape.
        include_background: include class 0 in the means.
        stop_gradient_on_target: treat ``segmentation_of_ct`` as a constant in
            the second term. The paper does not say; by default both sides of
            the divergence get gradients.

    Returns:
        ``(segmentation_term, divergence_term)``, float32 scalars in [0, 1).

    Ge et al. (2022), Eq. 16.
    """
    target = segmentation_of_ct
    if stop_gradient_on_target:
        target = ops.stop_gradient(target)
    segmentation = dice_loss(y_true, segmentation_of_ct, include_background)
    divergence = dice_loss(target, segmentation_of_reconstruction, include_background)
    return segmentation, divergence
