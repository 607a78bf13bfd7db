"""Trained network that segments cubes of a CT: from this package, an export or a run."""

import hashlib
import pathlib

import keras
import numpy as np

from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json
from xctrs_tf.models.exported_networks import build_segmentation
from xctrs_tf.pretrained import EXPORTED_WEIGHTS, SEGMENTERS, asked_folder
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.report.provenance_record import model_record
from xctrs_tf.training.run import load_run

# Probability from which a voxel is bone, for networks that learned with a cross-entropy that gives
# weights to rare classes (--cross_entropy_balance): they see too much bone. On the scans of the 8
# validation patients of vertebrae64 the mean Dice was 85.5 % at 0.5, 87.3 % at 0.7, 88.0 % at 0.8,
# 88.3 % at 0.85 and 88.3 % at 0.9, and the volume 1.20, 1.12, 1.07, 1.04 and 1.00 of that of the
# labels (2026-11-29).
BALANCED_THRESHOLD = 0.85


class SegmentationNetwork:
    """Trained segmentation network, and what it is.

    Args:
        network: `keras.Model` from ``(batch, size, size, size, 1)`` in [0, 1] to probabilities.
        spacing_mm: edge of the voxels that it was trained on, in mm.
        record: dict of JSON values that tells its name and training.

    Attributes:
        size: voxels a side of the cubes that it takes.
        spacing_mm: as above.
        record: as above, with ``weights_sha256``, the hash of the values of its weights. Its
            ``bone_threshold`` is the probability from which a voxel is bone.
    """

    def __init__(self, network, spacing_mm, record):
        self.size = int(network.input_shape[1])
        self.spacing_mm = float(spacing_mm)
        self.record = {**record, "weights_sha256": weights_sha256(network)}
        self._predict = _compiled(network)

    def __call__(self, batch):
        """Return the probabilities of the classes.

        Args:
            batch: float32 ``(batch, size, size, size, 1)``, of `intensity.normalise_hu`.

        Returns:
            float32 ``(batch, size, size, size, 8)``.

        Raises:
            UserError: the network gives no numbers.
        """
        probabilities = self._predict(batch)
        if not np.isfinite(probabilities).all():
            raise UserError(f"--model={self.record.get('name')}: the network gives no numbers")
        return probabilities


def load_network(model):
    """Load a trained segmentation network.

    Args:
        model: name of a network that comes with the package (`pretrained.SEGMENTERS`); folder
            of an exported model that holds weights, of experiments.export --format=weights; or
            run folder of experiments.train, of which the best checkpoint is taken.

    Returns:
        `SegmentationNetwork`.

    Raises:
        UserError: no such model, it is damaged, or it does not segment.
    """
    if model in SEGMENTERS:
        return _load_export(asked_folder(model), model)
    folder = pathlib.Path(model)
    if not folder.is_dir():
        raise UserError(
            f"--model={model}: neither {' or '.join(SEGMENTERS)} nor the folder of a run or of an "
            "exported model"
        )
    name = folder.name or folder.resolve().name
    if (folder / "config.json").is_file():
        return _load_run(folder, name)
    return _load_export(folder, name)


def _load_export(folder, name):
    export = find_export(folder)
    metadata = export.metadata
    if not export.is_weights:
        raise UserError(f"{folder}: holds a graph; export the run with --format=weights")
    if metadata["classes"] is None:
        raise UserError(f"{folder}: does not segment; name another model")
    if tuple(metadata["window_hu"]) != WINDOW_HU or metadata["spacing_mm"] is None:
        raise UserError(
            f"{folder}: its metadata name no voxel size, or another window than "
            f"{WINDOW_HU[0]:g} to {WINDOW_HU[1]:g} HU; export it again"
        )
    export.check_files()
    record = _record(name, metadata, export.sha256)
    network = build_segmentation(metadata, export.path / EXPORTED_WEIGHTS)
    return SegmentationNetwork(network, metadata["spacing_mm"], record)


def _load_run(folder, name):
    policy = keras.config.dtype_policy()
    try:
        run = load_run(folder, precision="float32")
    finally:
        keras.config.set_dtype_policy(policy)
    if run.segmentation is None:
        raise UserError(f"{folder}: trained no segmentation; name another run")
    record = read_json(folder / "config.json")
    try:
        dataset = open_dataset(run.config.data_folder)
    except UserError as error:
        raise UserError(f"{folder}: its voxel size is unknown, since its data are gone") from error
    if dataset.content_hash() != record["data_sha256"]:
        raise UserError(
            f"{dataset.path}: not the data that {folder} was trained on, so that its voxel size is "
            "unknown; put that data there again, or name an export of the run"
        )
    spacing_mm = dataset.spacing_mm
    size = run.config.size
    metadata = {**record, "size": size, "spacing_mm": spacing_mm, "step": run.step}
    return SegmentationNetwork(run.segmentation, spacing_mm, _record(name, metadata))


def _record(name, metadata, sha256=None):
    """Return what identifies a network, and what it was trained on, as JSON values."""
    training = metadata.get("training") or {}
    return {
        **model_record(name, metadata, sha256=sha256),
        "network": training.get("segmentation"),
        "width": training.get("width"),
        "seed": training.get("seed"),
        "fold": training.get("fold"),
        "folders": metadata.get("folders", []),
        "bone_threshold": _bone_threshold(training),
    }


def _bone_threshold(training):
    """Return the probability from which a voxel is bone, by the flags of the training."""
    weighted = training.get("cross_entropy_weight") and training.get("cross_entropy_balance")
    return BALANCED_THRESHOLD if weighted and not training.get("cross_entropy_fade") else 0.5


def weights_sha256(network):
    """Return the hash of the values of a network's weights, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for values in network.get_weights():
        digest.update(values.tobytes())
    return digest.hexdigest()


def _compiled(network):
    """Return the network as a function from an array to an array, traced once."""
    if keras.backend.backend() != "tensorflow":
        return network.predict_on_batch
    from xctrs_tf.training.tensorflow.compiled_network import CompiledNetwork

    compiled = CompiledNetwork(network)

    def predict(batch):
        return keras.ops.convert_to_numpy(compiled(np.asarray(batch, np.float32)))

    return predict
