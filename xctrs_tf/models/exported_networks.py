"""Networks of exported models that hold weights alone, built by this package."""

import keras

from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.weights import load_weights_by_name
from xctrs_tf.models.xctrsnet import XCTRSNet


def build_model(metadata, file):
    """Build the networks of an exported model, and load their weights.

    Args:
        metadata: dict of its metadata.json.
        file: its weights, of `models.weights.save_weights`.

    Returns:
        `keras.Model` in float32, from films to a CT, or an `XCTRSNet` where the model
        segments.

    Raises:
        UserError: the metadata name no networks of this package, or the weights are of
            others.
    """

    def build(names, sizes):
        reconstruction = NETWORKS[names["reconstruction"]].factory(**sizes)
        if metadata["classes"] is None:
            return reconstruction
        segmentation = NETWORKS[names["segmentation"]].factory(**sizes)
        networks = {"reconstruction": reconstruction, "segmentation": segmentation}
        return XCTRSNet(sizes["size"], NUM_CLASSES, **networks)

    return _with_weights(build, metadata, file)


def build_segmentation(metadata, file):
    """Build the segmentation network of an exported model alone, and load its weights.

    Args:
        metadata: as of `build_model`.
        file: as of `build_model`.

    Returns:
        `keras.Model` in float32, from a CT to probabilities.

    Raises:
        UserError: as `build_model`.
    """

    def build(names, sizes):
        return NETWORKS[names["segmentation"]].factory(**sizes)

    return _with_weights(build, metadata, file)


def _with_weights(build, metadata, file):
    """Return what a function builds of the names and sizes of networks, with its weights."""
    policy = keras.config.dtype_policy()
    # Weights are stored for float32, whatever the program trains with.
    keras.config.set_dtype_policy("float32")
    try:
        training = metadata["training"]
        # In models of earlier versions the flags of the training name the networks.
        names = metadata.get("networks") or training
        model = build(names, {"size": metadata["size"], "width": float(training["width"])})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file}: its metadata name no networks of this version of xctrs_tf "
            f"({one_line(error, 100)})"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    unfit = [fit for fit in load_weights_by_name(model, file) if fit.missing or fit.misshapen]
    if unfit:
        raise UserError(f"{file}: not whole ({unfit[0]}); fetch the model again")
    return model
