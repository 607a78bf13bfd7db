"""Exported models: folder layout, signature names, search and loading.

A version folder ``MODELS/xctrsnet/<number>/`` is a SavedModel for TensorFlow Serving,
holds one ONNX file, or holds the weights alone. ``assets.extra/metadata.json`` describes
the model; the server ignores it.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import tempfile
import threading

from xctrs_tf.errors import UserError, one_line
from xctrs_tf.garbage import gc_paused
from xctrs_tf.geometry import VIEWS
from xctrs_tf.pretrained import EXPORTED_WEIGHTS, PRETRAINED, asked_folder
from xctrs_tf.processor import bfloat16_is_slow, used_fpmath, warn_once
from xctrs_tf.reconstruction.export_files import (
    check_files,
    list_files,
    listing_sha256,
    read_metadata,
    takes_films,
)
from xctrs_tf.reconstruction.onnx_model import load_onnx
from xctrs_tf.report.provenance_record import model_record

SAVED_MODEL = "saved_model.pb"
ONNX_MODEL = "model.onnx"
_MODELS = (SAVED_MODEL, ONNX_MODEL, EXPORTED_WEIGHTS)
WARMUP = "assets.extra/tf_serving_warmup_requests"
DEFAULT_SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serving_bytes"
RECONSTRUCTION_SIGNATURE = "reconstruction"
SEGMENTATION_SIGNATURE = "segmentation"
# Output of ``serving_bytes`` where the server equalizes the films: a client that sees it in the
# signature cuts its films out likewise.
EQUALIZED_OUTPUT = "films_equalized"
# Output of ``serving_bytes`` with the bytes of metadata.json, as far as the export knows them
# before it is compared: a client judges the result by the thresholds in them.
METADATA_OUTPUT = "metadata_json"


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
    def film_normalization(self):
        """The way to normalise its films, of `film_normalisation.FILM_NORMALIZATIONS`."""
        return self.metadata["film_normalization"]

    def trained_spacing_mm(self):
        """Return the median edge of a voxel of the training patients, or None."""
        return self.metadata["spacing_mm"]

    @property
    def is_onnx(self):
        """True for an ONNX file, which runs without TensorFlow."""
        return (self.path / ONNX_MODEL).is_file()

    @property
    def is_weights(self):
        """True for weights without a graph, whose networks this package builds."""
        return not self.is_onnx and not (self.path / SAVED_MODEL).is_file()

    @property
    def takes_films(self):
        """False for a segmentation network alone, which takes CTs."""
        return takes_films(self.metadata)

    @property
    def fpmath(self):
        """The way to compute its float32 products, of `processor.FPMATHS`."""
        return self.metadata.get("fpmath", "float32")

    @functools.cached_property
    def _listing(self):
        # Files may be large, and several programs need their hashes more than once.
        return list_files(self.path)

    @property
    def sha256(self):
        """`export_files.model_sha256` of the files as they were when it was first asked for."""
        return listing_sha256(self._listing)

    def check_files(self, sha256=None):
        """Refuse a model of which a file was changed, is missing, or was added.

        Args:
            sha256: `export_files.model_sha256` that the model must have, or None.

        Raises:
            UserError: a file differs, or cannot be read.
        """
        check_files(self.path, self.metadata, sha256, self._listing)

    def record(self):
        """Return `provenance_record.model_record`, with the hash of the files and ``fpmath``.

        ``fpmath`` is how this process computes the model: call it after `use_fpmath`.

        Raises:
            UserError: a file cannot be read.
        """
        path = self.path.resolve()
        version = path.name if is_version(path.name) else None
        name = path.parent.name if version else path.name
        fpmath = "float32" if self.is_onnx else used_fpmath()
        return {**model_record(name, self.metadata, version, self.sha256), "fpmath": fpmath}

    def load(self, sha256=None):
        """Load the model.

        Args:
            sha256: `export_files.model_sha256` that the model must have, or None.

        Returns:
            Function from the keywords ``ap`` and ``la``, float32 batches
            ``(batch, size, size, 1)``, to the dict of the outputs of
            ``serving_default``.

        Raises:
            UserError: as `load_signatures`.
        """
        signature = self.load_signatures(sha256)[DEFAULT_SIGNATURE]
        if self.metadata.get("precision") == "bfloat16" and bfloat16_is_slow():
            warn_once(
                f"{self.path}: computes in bfloat16, which is slow on this processor, since it has "
                "no instructions for it; export without --precision=bfloat16"
            )
        return signature if self.is_onnx else _with_plain_graph(signature)

    def load_signatures(self, sha256=None):
        """Load all signatures of the model.

        Args:
            sha256: as for `load`.

        Returns:
            Dict from signature to a function from its inputs, as keywords, to the
            dict of its outputs. An ONNX file and weights have ``serving_default`` only, and
            weights of a segmentation network alone ``segmentation``.

        Raises:
            UserError: the model is another one or damaged, a file of it cannot be read,
                or ONNX Runtime is not installed.
        """
        self.check_files(sha256)
        if self.is_onnx:
            with _plain_path(self.path) as path:
                return {DEFAULT_SIGNATURE: load_onnx(path / ONNX_MODEL)}
        if self.is_weights:
            return _load_weights(self.path / EXPORTED_WEIGHTS, self.metadata)
        try:
            with _plain_path(self.path) as path, gc_paused():
                # Importing it takes seconds; metadata and films are checked without it.
                import tensorflow as tf

                model = tf.saved_model.load(path)
            signatures = dict(model.signatures)
            # TensorFlow does not guarantee that a signature keeps its variables alive.
            for signature in (signatures[DEFAULT_SIGNATURE], *signatures.values()):
                signature.model = model
        except (ImportError, MemoryError):
            raise
        # A damaged graph may raise anything.
        except Exception as error:
            raise UserError(
                f"{self.path}: damaged ({one_line(error, 100)}); run experiments.export again"
            ) from error
        return signatures


def _load_weights(file, metadata):
    """Return the only signature of a model of weights alone, by its name."""
    import tensorflow as tf

    from xctrs_tf.models.exported_networks import build_model, build_segmentation

    size = metadata["size"]
    if takes_films(metadata):
        name, model = DEFAULT_SIGNATURE, build_model(metadata, file)
        shapes = dict.fromkeys(VIEWS, (None, size, size, 1))
    else:
        name, model = SEGMENTATION_SIGNATURE, build_segmentation(metadata, file)
        shapes = {"ct": (None, size, size, size, 1)}

    @tf.function(autograph=False)
    def serve(**inputs):
        if name == SEGMENTATION_SIGNATURE:
            return {"segmentation": model(inputs["ct"], training=False)}
        outputs = model(inputs, training=False)
        if not isinstance(outputs, dict):
            outputs = {"ct": outputs}
        # As in training, the CT is segmented before it is clipped.
        return {**outputs, "ct": tf.clip_by_value(outputs["ct"], 0.0, 1.0)}

    specs = {key: tf.TensorSpec(shape, tf.float32, key) for key, shape in shapes.items()}
    traced = serve.get_concrete_function(**specs)

    def call(**inputs):
        return traced(**{key: tf.constant(value, tf.float32) for key, value in inputs.items()})

    return {name: call}


class _PlainGraphs:
    """Counter of the callers inside `plain_graphs`, with TensorFlow's option before the first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.callers = 0
        self.before = False

    def change(self, by):
        """Change the number of callers; set the option for the first, reset it after the last."""
        import tensorflow as tf

        name = "disable_meta_optimizer"
        with self.lock:
            if not self.callers:
                self.before = tf.config.optimizer.get_experimental_options().get(name, False)
            self.callers += by
            value = True if self.callers else self.before
            tf.config.optimizer.set_experimental_options({name: value})


_plain_graphs = _PlainGraphs()


@contextlib.contextmanager
def plain_graphs():
    """Context manager in which TensorFlow runs graphs that are new to it as they are.

    Optimising the graph of both networks takes seconds, and then they take 2 % less time.
    The option is one of the whole process; several threads may be in here at once.
    """
    _plain_graphs.change(1)
    try:
        yield
    finally:
        _plain_graphs.change(-1)


def _with_plain_graph(signature):
    def call(**inputs):
        with plain_graphs():
            return signature(**inputs)

    return call


@contextlib.contextmanager
def _plain_path(path):
    """Give a path of the folder that TensorFlow and ONNX Runtime can open.

    They cannot where it is not UTF-8, and TensorFlow takes brackets for a pattern of names.
    """
    is_text = os.fsencode(path).decode("utf-8", "replace") == str(path)
    if is_text and not set(str(path)) & set("[]*?\\"):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="xctrs-") as folder:
        link = pathlib.Path(folder) / "model"
        link.symlink_to(path.absolute(), target_is_directory=True)
        yield link


def find_export(path):
    """Find an exported model.

    Args:
        path: folder of versions, of which the newest is taken, a version folder, or, as text,
            the name of a model that comes with the package (`pretrained.PRETRAINED`). A
            `pathlib.Path` is always a folder.

    Returns:
        `Export`.

    Raises:
        UserError: the folder holds no exported model, its metadata cannot be read, or a folder
            in the working directory has the name.
    """
    path = asked_folder(path) if path in PRETRAINED else pathlib.Path(path)
    try:
        versions = [path / str(number) for number in version_numbers(path)]
        folder = versions[-1] if versions else path
        found = any((folder / model).is_file() for model in _MODELS)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    if not found:
        raise UserError(f"{folder}: no exported model; make one with experiments.export")
    return Export(folder, read_metadata(folder))


def version_numbers(path):
    """Return the numbers of the version folders in a folder, in order."""
    if not path.is_dir():
        return []
    return sorted(int(entry.name) for entry in path.iterdir() if is_version(entry.name))


def is_version(name):
    """Return True if a folder's name is the number of a version."""
    return name.isascii() and name.isdecimal()
