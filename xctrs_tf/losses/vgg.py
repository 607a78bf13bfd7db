"""Multi-view VGG loss of the reconstruction (Eq. 10)."""

import numpy as np
from keras import ops

from xctrs_tf.geometry import PLANE_AXIS
from xctrs_tf.losses.vgg16 import truncated_vgg16

# What VGG16 was trained on: blue, green, red in 0..255 less the ImageNet mean.
_BGR_MEAN = np.array([103.939, 116.779, 123.68], "float32")


class MultiViewVGG:
    """Distance of two volumes in VGG16 features of all their planes (Eq. 10).

    Each axial, coronal and sagittal plane is an image for VGG16. The paper's
    squared norm has no scale; here it is the mean over features, positions,
    planes and patients, so that one loss weight serves every size, layer and
    number of planes. The three views are summed.

    The features run in the dtype policy's compute dtype, their difference in
    float32. The target gets no gradient.

    Args:
        weights: see `truncated_vgg16`.
        layer: convolution whose ReLU output is compared.
        num_slices: planes per view and call, a random subset; None = all.
            A step at 128 voxels a side with all planes keeps some 6 GB of
            activations per patient.
    """

    def __init__(self, weights, layer="block3_conv3", num_slices=None):
        self.network = truncated_vgg16(weights, layer)
        self.num_slices = num_slices

    def __call__(self, y_true, y_pred, seed=None):
        """Sum of `view_losses`.

        Args:
            y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
            y_pred: reconstruction, same shape.
            seed: integer or integer scalar tensor that chooses the planes, the
                same on every backend; needed if `num_slices` is given.

        Returns:
            float32 scalar.
        """
        return sum(self.view_losses(y_true, y_pred, seed).values())

    def view_losses(self, y_true, y_pred, seed=None):
        """The loss of each view.

        Args:
            y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
            y_pred: reconstruction, same shape.
            seed: as for a call.

        Returns:
            dict `"sagittal"`, `"coronal"`, `"axial"` to float32 scalars.
        """
        losses = {}
        for view, axis in PLANE_AXIS.items():
            indices = self._chosen_planes(y_pred.shape[axis + 1], seed, stream=axis)
            target = ops.stop_gradient(self._features(planes(y_true, axis, indices)))
            difference = self._features(planes(y_pred, axis, indices)) - target
            losses[view] = ops.mean(ops.square(difference))
        return losses

    def _chosen_planes(self, total, seed, stream):
        if self.num_slices is None or self.num_slices >= total:
            return None
        if seed is None:
            raise ValueError("num_slices takes a random subset: give a seed")
        return random_subset(total, self.num_slices, seed, stream)

    def _features(self, grey):
        images = ops.cast(grey, "float32") * 255.0 - _BGR_MEAN  # (planes, rows, columns, 3)
        return ops.cast(self.network(images), "float32")


def planes(volume, axis, indices=None):
    """The planes of a batch of volumes as a batch of images.

    Args:
        volume: `(batch, x, y, z, 1)`.
        axis: volume axis 0..2 that the planes are slices of.
        indices: positions along that axis, or None for all.

    Returns:
        `(batch * planes, rows, columns, 1)`, rows and columns being the other
        two axes in their order.
    """
    if indices is not None:
        volume = ops.take(volume, indices, axis=axis + 1)
    slices = ops.moveaxis(volume, axis + 1, 1)  # (batch, planes, rows, columns, 1)
    return ops.reshape(slices, (-1, *slices.shape[2:]))


def random_subset(total, count, seed, stream):
    """Distinct random positions, uniform over all subsets of that size.

    `keras.random` takes no tensor as a seed, so that a traced training step
    could not change it. Here the positions are ordered by a hash of seed,
    stream and position, which every backend computes alike.

    Args:
        total: number of positions.
        count: how many of them are drawn.
        seed: integer or integer scalar tensor.
        stream: integer that makes draws of one seed independent.

    Returns:
        int32 `(count,)`, in random order.
    """
    seed = ops.cast(ops.convert_to_tensor(seed), "uint32")
    key = _mix(_mix(seed) + np.uint32(stream))
    hashes = _mix(ops.bitwise_xor(_mix(np.arange(total, dtype="uint32") + key), key))
    # float32 holds 24 bits exactly and can be sorted everywhere.
    order = ops.argsort(ops.cast(ops.right_shift(hashes, np.uint32(8)), "float32"))
    return ops.cast(order[:count], "int32")


def _mix(bits):
    """Scramble uint32s (the finaliser of MurmurHash3, of the public domain)."""
    bits = _shift_xor(bits + np.uint32(0x9E3779B9), 16) * np.uint32(0x85EBCA6B)
    return _shift_xor(_shift_xor(bits, 13) * np.uint32(0xC2B2AE35), 16)


def _shift_xor(bits, shift):
    return ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(shift)))
