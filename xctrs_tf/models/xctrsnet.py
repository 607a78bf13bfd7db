"""X-CTRSNet: reconstruction and segmentation coupled (Sect. 2, Fig. 3a)."""

import keras
from keras import layers

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.models.mulsisnet import MulSISNet
from xctrs_tf.models.spadrnet import SpaDRNet


def XCTRSNet(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    reconstruction=None,
    segmentation=None,
    batch_size=None,
    name="xctrsnet",
):
    """Two films to a CT and its segmentation.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        num_classes: classes including the background.
        width: multiplies every width of the default networks.
        reconstruction: network from ``{"ap", "la"}`` to a CT; default SpaDRNet.
        segmentation: network from a CT to probabilities; default MulSISNet.
        batch_size: fixes the batch; only for counting operations.
        name: model name.

    Input shape:
        ``ap``: ``(batch, x, z, 1)`` and ``la``: ``(batch, y, z, 1)``, in [0, 1].

    Output shape:
        A dict of ``ct`` ``(batch, x, y, z, 1)`` and ``segmentation``
        ``(batch, x, y, z, num_classes)``, both float32.

    Returns:
        `keras.Model`; the two networks are its layers and share its weights.

    Raises:
        ValueError: if the size is not supported.

    Example:
        >>> outputs = XCTRSNet(size=32)({"ap": ap, "la": la})
        >>> outputs["ct"].shape
        (1, 32, 32, 32, 1)
    """
    sizes = {"size": size, "batch_size": batch_size}
    reconstruction = reconstruction or SpaDRNet(width=width, **sizes)
    segmentation = segmentation or MulSISNet(num_classes=num_classes, width=width, **sizes)

    films = {
        view: layers.Input((size, size, 1), batch_size=batch_size, name=view)
        for view in ("ap", "la")
    }
    ct = reconstruction(films)
    return keras.Model(films, {"ct": ct, "segmentation": segmentation(ct)}, name=name)
