"""From film features to volume features: pixelshuffle and view alignment (Eq. 4 to 7)."""

from keras import layers

from xctrs_tf.geometry import VIEW_TO_VOLUME


def pixel_shuffle(x, depth, name):
    """PS of Eq. 4: unfold channels into the depth along the rays.

    Args:
        x: film feature ``(batch, horizontal, vertical, depth * channels)``.
        depth: voxels along the rays.
        name: layer name.

    Returns:
        Volume feature ``(batch, horizontal, vertical, depth, channels)``.

    Raises:
        ValueError: if ``depth`` does not divide the channels.
    """
    _, horizontal, vertical, channels = x.shape
    if channels % depth:
        raise ValueError(f"{channels} channels cannot be unfolded into a depth of {depth}")
    return layers.Reshape((horizontal, vertical, depth, channels // depth), name=name)(x)


def repeat_along_rays(x, depth, name):
    """Repeat a film or its feature at every depth along the rays.

    Args:
        x: ``(batch, horizontal, vertical, channels)``.
        depth: voxels along the rays.
        name: prefix of the layer names.

    Returns:
        ``(batch, horizontal, vertical, depth, channels)``.
    """
    _, horizontal, vertical, channels = x.shape
    x = layers.Reshape((horizontal, vertical, 1, channels), name=f"{name}_flat")(x)
    return layers.UpSampling3D((1, 1, depth), name=f"{name}_repeat")(x)


def align_view(x, view, name):
    """P of Eq. 6: permute a view's feature to the volume's axes.

    Args:
        x: ``(batch, horizontal, vertical, depth, channels)``.
        view: ``"ap"`` or ``"la"``.
        name: layer name.

    Returns:
        ``(batch, x, y, z, channels)``.
    """
    # keras.layers.Permute counts the batch as axis 0 and the others from 1.
    axes = (*(axis + 1 for axis in VIEW_TO_VOLUME[view]), 4)
    return layers.Permute(axes, name=name)(x)


def view_of(x, view, name):
    """The inverse of `align_view`: a volume's feature in the axes of a view.

    Args:
        x: ``(batch, x, y, z, channels)``.
        view: ``"ap"`` or ``"la"``.
        name: layer name.

    Returns:
        ``(batch, horizontal, vertical, depth, channels)``.
    """
    axes = (*(1 + VIEW_TO_VOLUME[view].index(axis) for axis in range(3)), 4)
    return layers.Permute(axes, name=name)(x)


def align_views(ap, la, name):
    """Eq. 6 and 7: align both views and concatenate them along channels.

    Args:
        ap: ``(batch, x, z, y, channels)``, the AP feature after pixelshuffle.
        la: ``(batch, y, z, x, channels)``, the LA feature after pixelshuffle.
        name: prefix of the layer names.

    Returns:
        ``(batch, x, y, z, 2 * channels)``, LA first as Eq. 7 prints it.
    """
    aligned = [align_view(la, "la", f"{name}_la"), align_view(ap, "ap", f"{name}_ap")]
    return layers.Concatenate(name=f"{name}_concat")(aligned)
