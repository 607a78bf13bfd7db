"""Multi-view VGG loss of the reconstruction (Eq. 10)."""

import numpy as np
from keras import ops

from xctrs_tf.geometry import PLANE_AXIS
from xctrs_tf.losses.vgg16 import truncated_vgg16

# VGG16 was trained on blue, green and red in 0..255, less the means of ImageNet.
_BGR_MEAN = np.array([103.939, 116.779, 123.68], "float32")


class MultiViewVGG:
    """Distance of two volumes in VGG16 features of their planes.

    Each axial, coronal and sagittal plane is an image for VGG16. The squared norm
    of Eq. 10 has no scale; here it is the mean over features, positions, planes
    and patients, so that one loss weight suits every size, layer and number of
    planes. The losses of the three views are added.

    The features are computed in the compute dtype of the dtype policy, their
    difference in float32. The target gets no gradient.

    Args:
        weights: see `truncated_vgg16`.
        layer: convolution whose ReLU output is compared.
        num_slices: planes per view that every call takes; None for all. With all
            planes of 128 x 128, a training step keeps some 6 GB of features a
            patient.

    Ge et al. (2022), Eq. 10.
    """

    def __init__(self, weights, layer="block3_conv3", num_slices=None):
        self.network = truncated_vgg16(weights, layer)
        self.num_slices = num_slices

    def __call__(self, y_true, y_pred, planes=None):
        """Return the sum of `view_losses`.

        Args:
            y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
            y_pred: reconstruction, same shape.
            planes: integers `(3, num_slices)`: positions of the planes along x, y
                and z; needed where `num_slices` is smaller than the volume.

        Returns:
            float32 scalar.

        Raises:
            ValueError: the planes are missing.
        """
        return sum(self.view_losses(y_true, y_pred, planes).values())

    def view_losses(self, y_true, y_pred, planes=None):
        """Return the loss of each view.

        Args:
            y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
            y_pred: reconstruction, same shape.
            planes: as for a call.

        Returns:
            Dict from `"sagittal"`, `"coronal"` and `"axial"` to float32 scalars.
        """
        losses = {}
        for view, axis in PLANE_AXIS.items():
            indices = self._indices(y_pred.shape[axis + 1], planes, axis)
            target = ops.stop_gradient(self._features(plane_images(y_true, axis, indices)))
            difference = self._features(plane_images(y_pred, axis, indices)) - target
            losses[view] = ops.mean(ops.square(difference))
        return losses

    def _indices(self, total, planes, axis):
        if self.num_slices is None or self.num_slices >= total:
            return None
        if planes is None:
            raise ValueError("num_slices takes a subset of the planes: give planes")
        return planes[axis]

    def _features(self, grey):
        images = ops.cast(grey, "float32") * 255.0 - _BGR_MEAN  # (planes, rows, columns, 3)
        return ops.cast(self.network(images), "float32")


def plane_images(volume, axis, indices=None):
    """Return the planes of a batch of volumes as a batch of images.

    Args:
        volume: `(batch, x, y, z, 1)`.
        axis: axis 0, 1 or 2 of the volume that the planes are perpendicular to.
        indices: positions along that axis; None for all.

    Returns:
        `(batch * planes, rows, columns, 1)`, rows and columns being the other
        two axes in their order.
    """
    if indices is not None:
        volume = ops.take(volume, indices, axis=axis + 1)
    slices = ops.moveaxis(volume, axis + 1, 1)  # (batch, planes, rows, columns, 1)
    return ops.reshape(slices, (-1, *slices.shape[2:]))
