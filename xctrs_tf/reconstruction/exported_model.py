"""Exported models: folder layout, signature names, search and loading.

A version folder ``MODELS/xctrsnet/<number>/`` is a SavedModel for TensorFlow Serving or
holds one ONNX file. ``assets.extra/metadata.json`` describes the model; the server
ignores it.
"""

import dataclasses
import json
import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction.onnx_model import load_onnx

EXPORT_FORMAT = "xctrs-export/2"
SAVED_MODEL = "saved_model.pb"
ONNX_MODEL = "model.onnx"
METADATA = "assets.extra/metadata.json"
WARMUP = "assets.extra/tf_serving_warmup_requests"
DEFAULT_SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serving_bytes"
RECONSTRUCTION_SIGNATURE = "reconstruction"
SEGMENTATION_SIGNATURE = "segmentation"


@dataclasses.dataclass(frozen=True)
class Export:
    """Exported model: a version folder and its metadata.

    Attributes:
        path: the version folder.
        metadata: dict of its metadata.json.
    """

    path: pathlib.Path
    metadata: dict

    @property
    def size(self):
        """Pixels and voxels a side."""
        return self.metadata["size"]

    @property
    def is_onnx(self):
        """True for an ONNX file, which runs without TensorFlow."""
        return (self.path / ONNX_MODEL).is_file()

    def load(self):
        """Load the model.

        Returns:
            Function from the keywords ``ap`` and ``la``, float32 batches
            ``(batch, size, size, 1)``, to the dict of the outputs of
            ``serving_default``.

        Raises:
            UserError: the model is damaged, or ONNX Runtime is not installed.
        """
        return self.load_signatures()[DEFAULT_SIGNATURE]

    def load_signatures(self):
        """Load all signatures of the model.

        Returns:
            Dict from signature to a function from its inputs, as keywords, to the
            dict of its outputs; an ONNX file has ``serving_default`` only.

        Raises:
            UserError: the model is damaged, or ONNX Runtime is not installed.
        """
        if self.is_onnx:
            return {DEFAULT_SIGNATURE: load_onnx(self.path / ONNX_MODEL)}
        # Importing it takes seconds; metadata and films are checked without it.
        import tensorflow as tf

        try:
            model = tf.saved_model.load(self.path)
            signatures = dict(model.signatures)
            # TensorFlow does not guarantee that a signature keeps its variables alive.
            for signature in (signatures[DEFAULT_SIGNATURE], *signatures.values()):
                signature.model = model
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise UserError(f"{self.path}: damaged; run experiments.export again") from error
        return signatures


def find_export(path):
    """Find an exported model.

    Args:
        path: folder of versions, of which the newest is taken, or a version folder.

    Returns:
        `Export`.

    Raises:
        UserError: the folder holds no exported model, or its metadata cannot be read.
    """
    path = pathlib.Path(path)
    versions = [path / str(number) for number in version_numbers(path)]
    folder = versions[-1] if versions else path
    if not any((folder / model).is_file() for model in (SAVED_MODEL, ONNX_MODEL)):
        raise UserError(f"{folder}: no exported model; make one with experiments.export")
    return Export(folder, _read_metadata(folder / METADATA))


def version_numbers(path):
    """Return the numbers of the version folders in a folder, in order."""
    if not path.is_dir():
        return []
    return sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal())


def _read_metadata(file):
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
        if metadata["format"] == EXPORT_FORMAT:
            return metadata
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(
        f"{file}: missing, or not of format {EXPORT_FORMAT}; run experiments.export again"
    )
