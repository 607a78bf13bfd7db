"""X-CTRSNet: a CT and its segmentation from two films."""

import keras
from keras import layers

from xctrs_tf.geometry import NUM_CLASSES, VIEWS
from xctrs_tf.models.mulsisnet import MulSISNet
from xctrs_tf.models.sizes import check_size
from xctrs_tf.models.spadrnet import SpaDRNet
from xctrs_tf.models.weight_sources import load_whole
from xctrs_tf.pretrained import PRETRAINED, pretrained_sizes


def XCTRSNet(
    size=None,
    num_classes=NUM_CLASSES,
    width=None,
    *,
    weights=None,
    reconstruction=None,
    segmentation=None,
    batch_size=None,
    name="xctrsnet",
):
    """Build X-CTRSNet: reconstruct a CT from two films and segment it.

    The reconstruction network's CT is the segmentation network's input. The two
    networks are layers of the model and share its weights, so that training the
    model trains them, and ``model.save_weights("x.weights.h5")`` writes both to
    one file that ``model.load_weights`` reads.

    Args:
        size: pixels and voxels a side: 32, 64 or 128; None: 128, or that of the named
            weights.
        num_classes: number of classes, background included; for the default
            segmentation network.
        width: factor of all filters of the default networks; None: 1, or that of the
            named weights.
        weights: None, random; a name of `pretrained.PRETRAINED`, such as ``"neck64"``; or
            a file, run or exported model, as `weight_sources.find_weights` takes, with all
            layers of both networks.
        reconstruction: network from ``{"ap", "la"}`` to a CT; None: `SpaDRNet`.
        segmentation: network from a CT to probabilities; None: `MulSISNet`.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        A dict of ``ap``: ``(batch, x, z, 1)`` and ``la``: ``(batch, y, z, 1)``,
        films in [0, 1], every axis of length ``size``.

    Output shape:
        A dict of ``ct``: ``(batch, x, y, z, 1)`` in float32, not bounded, trained
        on intensities in [0, 1], and ``segmentation``:
        ``(batch, x, y, z, num_classes)``, probabilities in float32 that sum to 1.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported, or is not that of the named weights.
        UserError: if the weights are missing or damaged, or a layer would stay random.

    Example:
        >>> import numpy as np
        >>> films = {view: np.zeros((1, 32, 32, 1), "float32") for view in ("ap", "la")}
        >>> model = XCTRSNet(size=32)
        >>> {key: tuple(value.shape) for key, value in model(films).items()}
        {'ct': (1, 32, 32, 32, 1), 'segmentation': (1, 32, 32, 32, 8)}

    Ge et al. (2022), Fig. 3.
    """
    size, width = _sizes(size, width, weights)
    check_size(size)

    # === Networks ===
    sizes = {"size": size, "batch_size": batch_size}
    reconstruction = reconstruction or SpaDRNet(width=width, **sizes)
    segmentation = segmentation or MulSISNet(num_classes=num_classes, width=width, **sizes)

    # === Functional model ===
    films = {
        view: layers.Input((size, size, 1), batch_size=batch_size, name=view) for view in VIEWS
    }
    ct = reconstruction(films)
    model = keras.Model(films, {"ct": ct, "segmentation": segmentation(ct)}, name=name)
    if weights is not None:
        load_whole([reconstruction, segmentation], weights)
    return model


def _sizes(size, width, weights):
    """Return size and width, by default those of named weights."""
    theirs = {"size": 128, "width": 1.0}
    if weights in PRETRAINED:
        theirs = pretrained_sizes(weights)
        for name, ours in (("size", size), ("width", width)):
            if ours is not None and ours != theirs[name]:
                raise ValueError(f"weights={weights!r} have {name}={theirs[name]}, not {ours}")
    return (theirs["size"] if size is None else size, theirs["width"] if width is None else width)
