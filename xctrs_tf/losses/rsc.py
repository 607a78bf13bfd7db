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
    """The two directions of the consistency.

    The first teaches the segmentation network on real CT, the second pulls the
    reconstruction to where it is segmented as the real CT is. Eq. 16 prints
    the sum of two Dice values; what is minimised is 1 - Dice of each.

    Both sides of the second term are soft, so that it reaches 0 only where the
    two segmentations agree and are certain.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        segmentation_of_ct: softmax of the segmentation network on the ground
            truth CT, same shape.
        segmentation_of_reconstruction: its softmax on the reconstruction.
        include_background: whether class 0 takes part in the means.
        stop_gradient_on_target: whether `segmentation_of_ct` is a constant in
            the second term. The paper does not say; by default both sides of
            the divergence receive gradients.

    Returns:
        `(segmentation_term, divergence_term)`, float32 scalars in [0, 1).
    """
    target = segmentation_of_ct
    if stop_gradient_on_target:
        target = ops.stop_gradient(target)
    segmentation = dice_loss(y_true, segmentation_of_ct, include_background)
    divergence = dice_loss(target, segmentation_of_reconstruction, include_background)
    return segmentation, divergence


def rsc_loss(
    y_true,
    segmentation_of_ct,
    segmentation_of_reconstruction,
    include_background=False,
    stop_gradient_on_target=False,
):
    """Sum of the two terms of `rsc_terms` (Eq. 16).

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        segmentation_of_ct: softmax on the ground truth CT, same shape.
        segmentation_of_reconstruction: softmax on the reconstruction.
        include_background: whether class 0 takes part in the means.
        stop_gradient_on_target: whether the divergence leaves
            `segmentation_of_ct` alone.

    Returns:
        float32 scalar in [0, 2).
    """
    segmentation, divergence = rsc_terms(
        y_true,
        segmentation_of_ct,
        segmentation_of_reconstruction,
        include_background,
        stop_gradient_on_target,
    )
    return segmentation + divergence
