"""Signatures of an exported model: the functions that a server offers by name."""

import json

import numpy as np
import tensorflow as tf

from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.export.film_graph import decode_films
from xctrs_tf.geometry import NUM_CLASSES, VIEWS
from xctrs_tf.reconstruction.exported_model import (
    BYTES_SIGNATURE,
    DEFAULT_SIGNATURE,
    EQUALIZED_OUTPUT,
    METADATA_OUTPUT,
    RECONSTRUCTION_SIGNATURE,
    SEGMENTATION_SIGNATURE,
)


class Signatures:
    """Traced functions over the networks of a run.

    Args:
        run: `xctrs_tf.training.run.Run`.
        metadata: dict of JSON values that ``serving_bytes`` returns, and the edge of a voxel
            in it; None leaves both out.
        dtype: type of the stored weights, which are cast to their own type for
            computing; None stores them unchanged.

    Attributes:
        weights: dict from network to list of the variables to store. They are copies,
            so that no Keras graphs are saved with them.
        segments: True if there is a segmentation network.
    """

    def __init__(self, run, metadata=None, dtype=None):
        self._size = run.config.size
        self._film_normalization = run.config.film_normalization
        self._metadata = metadata
        size2, size3 = [self._size] * 2, [self._size] * 3
        self.weights = {}
        self._films = {v: tf.TensorSpec((None, *size2, 1), tf.float32, v) for v in VIEWS}
        self._ct = tf.TensorSpec((None, *size3, 1), tf.float32, "ct")
        # One function per network: it is traced and stored once for all signatures.
        self._run_reconstruction, self.weights["reconstruction"] = _as_function(
            run.reconstruction, self._films, dtype
        )
        if run.segmentation is not None:
            self._run_segmentation, self.weights["segmentation"] = _as_function(
                run.segmentation, self._ct, dtype
            )
        self.segments = run.segmentation is not None

    def concrete(self):
        """Return the dict from each signature to its traced function."""
        names = [f"{view}_bytes" for view in VIEWS]
        pngs = {name: tf.TensorSpec([None], tf.string, name) for name in names}
        signatures = {
            DEFAULT_SIGNATURE: _trace(self._serve, **self._films),
            BYTES_SIGNATURE: _trace(self._serve_bytes, **pngs),
            RECONSTRUCTION_SIGNATURE: _trace(self._reconstruct, **self._films),
        }
        if self.segments:
            signatures[SEGMENTATION_SIGNATURE] = _trace(self._segment, ct=self._ct)
        return signatures

    def _serve(self, ap, la):
        """Run X-CTRSNet; as in training, the CT is segmented before it is clipped."""
        ct = self._run_reconstruction({"ap": ap, "la": la})
        outputs = {"ct": tf.clip_by_value(ct, 0.0, 1.0)}
        if self.segments:
            outputs["segmentation"] = self._run_segmentation(ct)
        return outputs

    def _serve_bytes(self, ap_bytes, la_bytes):
        """Map PNG files to CT numbers and labels, as `xctrs_tf.reconstruction` does."""
        outputs = self._serve(
            *(
                decode_films(pngs, self._size, self._film_normalization)
                for pngs in (ap_bytes, la_bytes)
            )
        )
        low, high = WINDOW_HU
        ct_hu = tf.round(outputs["ct"][..., 0] * (high - low) + low)
        answer = {"ct_hu": tf.cast(ct_hu, tf.int16)}
        if self.segments:
            labels = tf.argmax(outputs["segmentation"], axis=-1, output_type=tf.int32)
            answer["segmentation"] = tf.cast(labels, tf.uint8)
        if self._metadata is not None:
            answer |= self._describe(tf.shape(ap_bytes))
        if self._film_normalization == "equalized":
            answer[EQUALIZED_OUTPUT] = tf.fill(tf.shape(ap_bytes), True)
        return answer

    def _describe(self, batch):
        """Return the outputs that are the same for every film, once for each patient."""
        text = np.frombuffer(metadata_bytes(self._metadata), np.uint8)
        described = {METADATA_OUTPUT: tf.tile(text[np.newaxis], [batch[0], 1])}
        if self._metadata["spacing_mm"] is not None:
            described["spacing_mm"] = tf.fill(batch, tf.constant(self._metadata["spacing_mm"]))
        return described

    def _reconstruct(self, ap, la):
        """Run the reconstruction network only, unclipped, as input of the segmentation."""
        return {"ct": self._run_reconstruction({"ap": ap, "la": la})}

    def _segment(self, ct):
        return {"segmentation": self._run_segmentation(ct)}


def metadata_bytes(metadata):
    """Return metadata as ``serving_bytes`` returns them: compact ASCII JSON, as bytes."""
    return json.dumps(metadata, separators=(",", ":")).encode("ascii")


def describe_signatures(metadata):
    """Describe the tensors of the signatures for metadata.json.

    Args:
        metadata: those that `Signatures` was given.

    Returns:
        Dict from signature to dict of ``inputs`` and ``outputs``.
    """
    size, film_normalization = metadata["size"], metadata["film_normalization"]
    segments = metadata["classes"] is not None
    sizes = {"batch": None, "x": size, "y": size, "z": size, "channel": 1, "class": NUM_CLASSES}
    sizes["byte"] = len(metadata_bytes(metadata))

    def tensor(dtype, values, *axes):
        axes = ["batch", *axes]
        shape = [sizes[axis] for axis in axes]
        return {"dtype": dtype, "shape": shape, "axes": axes, "values": values}

    volume = ("x", "y", "z")
    seen = f"film in [0, 1], bone bright, film_normalization {film_normalization}"
    picture = "PNG file, superior on top, bone bright, square"
    films = {
        "ap": tensor("float32", seen, "x", "z", "channel"),
        "la": tensor("float32", seen, "y", "z", "channel"),
    }
    scaled = "CT numbers, window_hu scaled to [0, 1]"
    unclipped = tensor("float32", f"{scaled}, not clipped", *volume, "channel")
    classes = tensor("float32", "probabilities that sum to 1", *volume, "class")
    whole = {"ct": tensor("float32", scaled, *volume, "channel")}
    answer = {"ct_hu": tensor("int16", "CT numbers in HU", *volume)}
    if segments:
        whole["segmentation"] = classes
        answer["segmentation"] = tensor("uint8", "index in classes", *volume)
    answer[METADATA_OUTPUT] = tensor("uint8", "metadata.json without the comparison", "byte")
    if metadata["spacing_mm"] is not None:
        answer["spacing_mm"] = tensor("float32", "edge of a voxel in mm")
    if film_normalization == "equalized":
        answer[EQUALIZED_OUTPUT] = tensor("bool", "true: the server equalizes the films")
    described = {
        DEFAULT_SIGNATURE: {"inputs": films, "outputs": whole},
        BYTES_SIGNATURE: {
            "inputs": {f"{view}_bytes": tensor("string", picture) for view in VIEWS},
            "outputs": answer,
        },
        RECONSTRUCTION_SIGNATURE: {"inputs": films, "outputs": {"ct": unclipped}},
    }
    if segments:
        described[SEGMENTATION_SIGNATURE] = {
            "inputs": {"ct": unclipped},
            "outputs": {"segmentation": classes},
        }
    return described


def _trace(function, **tensors):
    return tf.function(function, autograph=False).get_concrete_function(**tensors)


def _as_function(network, inputs, dtype):
    """Return a network as a traced function of copied weights, and the copies."""
    weights = [*network.trainable_variables, *network.non_trainable_variables]
    stored = [_stored(weight, dtype) for weight in weights]
    trainable = len(network.trainable_variables)

    @tf.function(input_signature=[inputs], autograph=False)
    def call(inputs):
        values = [tf.cast(s, w.dtype) for s, w in zip(stored, weights, strict=True)]
        outputs, _ = network.stateless_call(
            values[:trainable], values[trainable:], inputs, training=False
        )
        return tf.cast(outputs, tf.float32)

    return call, stored


def _stored(weight, dtype):
    """Copy a weight; seeds and counters keep their type."""
    value = tf.convert_to_tensor(weight.value)
    return tf.Variable(tf.cast(value, dtype) if dtype and value.dtype.is_floating else value)
