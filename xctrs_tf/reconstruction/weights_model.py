"""Exported models that hold weights alone: the networks are built by this package."""

import keras

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import NUM_CLASSES, VIEWS
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
    policy = keras.config.dtype_policy()
    # Weights are stored for float32, whatever the program trains with.
    keras.config.set_dtype_policy("float32")
    try:
        model = _build(metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file}: its metadata name no networks of this version of xctrs_tf ({error})"
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    unfit = [fit for fit in load_weights_by_name(model, file) if fit.missing or fit.misshapen]
    if unfit:
        raise UserError(f"{file}: not whole ({unfit[0]}); fetch the model again")
    return model


def _build(metadata):
    training, size = metadata["training"], metadata["size"]
    sizes = {"size": size, "width": float(training["width"])}
    reconstruction = NETWORKS[training["reconstruction"]].factory(**sizes)
    if metadata["classes"] is None:
        return reconstruction
    segmentation = NETWORKS[training["segmentation"]].factory(**sizes)
    return XCTRSNet(size, NUM_CLASSES, reconstruction=reconstruction, segmentation=segmentation)


def load_weights_model(metadata, file):
    """Load an exported model of weights as its ``serving_default``.

    Args:
        metadata: as for `build_model`.
        file: as for `build_model`.

    Returns:
        Function from ``ap`` and ``la``, as keywords, to the dict of outputs.

    Raises:
        UserError: as for `build_model`.
    """
    import tensorflow as tf

    model = build_model(metadata, file)
    film = (None, metadata["size"], metadata["size"], 1)
    specs = {view: tf.TensorSpec(film, tf.float32, view) for view in VIEWS}

    @tf.function(autograph=False)
    def serve(ap, la):
        outputs = model({"ap": ap, "la": la}, training=False)
        if not isinstance(outputs, dict):
            outputs = {"ct": outputs}
        # As in training, the CT is segmented before it is clipped.
        return {**outputs, "ct": tf.clip_by_value(outputs["ct"], 0.0, 1.0)}

    traced = serve.get_concrete_function(**specs)
    return lambda ap, la: traced(ap=tf.constant(ap, tf.float32), la=tf.constant(la, tf.float32))
