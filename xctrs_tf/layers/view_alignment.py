"""Conversion of film features to volume features: Eq. 4 to 7."""

from keras import layers

from xctrs_tf.geometry import VIEW_TO_VOLUME
from xctrs_tf.layers.upsampling import NearestUpSampling3D


def pixel_shuffle(x, depth, name):
    """Apply pixelshuffle (PS): unfold channels into the depth along the rays.

    Args:
        x: film feature ``(batch, horizontal, vertical, depth * channels)``.
        depth: voxels along the rays.
        name: layer name.

    Returns:
        Volume feature ``(batch, horizontal, vertical, depth, channels)``.

    Raises:
        ValueError: if the channels are not a multiple of ``depth``.

    Ge et al. (2022), Eq. 4.
    """
    _, horizontal, vertical, channels = x.shape
    if channels % depth:
        raise ValueError(f"{channels} channels cannot be unfolded into a depth of {depth}")
    return layers.Reshape((horizontal, vertical, depth, channels // depth), name=name)(x)


def repeat_along_rays(x, depth, name):
    """Repeat a film or its feature at every depth along the rays.

    Args:
        x: film feature ``(batch, horizontal, vertical, channels)``.
        depth: voxels along the rays.
        name: prefix of the layer names.

    Returns:
        Volume feature ``(batch, horizontal, vertical, depth, channels)``.
    """
    _, horizontal, vertical, channels = x.shape
    x = layers.Reshape((horizontal, vertical, 1, channels), name=f"{name}_flat")(x)
    return NearestUpSampling3D((1, 1, depth), name=f"{name}_repeat")(x)


def align_view(x, view, name):
    """Permute a view's feature to the axes of the volume (P).

    Args:
        x: volume feature ``(batch, horizontal, vertical, depth, channels)``.
        view: ``"ap"`` or ``"la"``.
        name: layer name.

    Returns:
        Volume feature ``(batch, x, y, z, channels)``.

    Ge et al. (2022), Eq. 5, 6.
    """
    # keras.layers.Permute numbers the axes after the batch from 1.
    axes = (*(axis + 1 for axis in VIEW_TO_VOLUME[view]), 4)
    return layers.Permute(axes, name=name)(x)


def view_of(x, view, name):
    """Permute a volume's feature to the axes of a view: the inverse of `align_view`.

    Args:
        x: volume feature ``(batch, x, y, z, channels)``.
        view: ``"ap"`` or ``"la"``.
        name: layer name.

    Returns:
        Volume feature ``(batch, horizontal, vertical, depth, channels)``.
    """
    axes = (*(1 + VIEW_TO_VOLUME[view].index(axis) for axis in range(3)), 4)
    return layers.Permute(axes, name=name)(x)


def align_views(ap, la, name):
    """Align both views and concatenate them along channels.

    Args:
        ap: AP feature after pixelshuffle, ``(batch, x, z, y, channels)``.
        la: LA feature after pixelshuffle, ``(batch, y, z, x, channels)``.
        name: prefix of the layer names.

    Returns:
        Volume feature ``(batch, x, y, z, 2 * channels)``, LA first as in Eq. 7.

    Ge et al. (2022), Eq. 6, 7.
    """
    aligned = [align_view(la, "la", f"{name}_la"), align_view(ap, "ap", f"{name}_ap")]
    return layers.Concatenate(name=f"{name}_concat")(aligned)
