"""A training run as a SavedModel that needs nothing of this package to run."""

import json
import logging
import pathlib

import numpy as np
import tensorflow as tf

from xctrs_tf import provenance
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.intensity import WINDOW_HU
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path, write_text
from xctrs_tf.geometry import NUM_CLASSES, VERTEBRAE, VIEWS
from xctrs_tf.serving.exported import (
    FORMAT,
    METADATA,
    NOTICE,
    SIGNATURE,
    Export,
    version_numbers,
)

# Largest difference between the networks before and after saving.
TOLERANCE = 1e-5

_INPUTS = {
    "ap": {"axes": ["batch", "x", "z", "channel"], "values": "film in [0, 1], bone bright"},
    "la": {"axes": ["batch", "y", "z", "channel"], "values": "film in [0, 1], bone bright"},
}
_OUTPUTS = {
    "ct": {
        "axes": ["batch", "x", "y", "z", "channel"],
        "values": "CT numbers, window_hu scaled to [0, 1]",
    },
    "segmentation": {
        "axes": ["batch", "x", "y", "z", "class"],
        "values": "probabilities that sum to 1",
    },
}


def export_run(run, output):
    """Save a run's networks as the next version in a folder.

    The signature ``serving_default`` takes normalised films ``ap`` and ``la``,
    float32 ``(batch, size, size, 1)``, and gives ``ct`` ``(batch, x, y, z, 1)``,
    clipped to [0, 1], and, if the run has a segmentation network,
    ``segmentation`` ``(batch, x, y, z, 8)``.

    Args:
        run: `xctrs_tf.training.runs.Run`.
        output: folder of versions; made if it is not there.

    Returns:
        Path of the version folder.

    Raises:
        UserError: the run has no reconstruction network, or the folder cannot be
            made.
        RuntimeError: the saved model does not compute what the networks do.
    """
    if run.reconstruction is None:
        raise UserError(f"{run.path}: only segments CTs; export a run that reconstructs")
    output = pathlib.Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: no folder ({error.strerror}); choose another") from error
    folder = output / str(max(version_numbers(output), default=0) + 1)
    with atomic_path(folder) as temporary:
        metadata = _metadata(run)
        _save(run, temporary)
        (temporary / METADATA).parent.mkdir()
        write_text(temporary / METADATA, json.dumps(metadata, indent=1) + "\n")
        _require_same_outputs(run, Export(temporary, metadata))
    return folder


def _save(run, folder):
    film = (None, run.config.size, run.config.size, 1)

    @tf.function(input_signature=[tf.TensorSpec(film, tf.float32, name=view) for view in VIEWS])
    def serve(ap, la):
        return _predict(run, {"ap": ap, "la": la})

    # Holding the variables alone, and not the Keras models, saves this one graph
    # and none of theirs.
    module = tf.Module()
    networks = (run.reconstruction, run.segmentation)
    module.weights = [weight.value for net in networks if net is not None for weight in net.weights]
    tf.saved_model.save(module, folder, signatures={SIGNATURE: serve.get_concrete_function()})


def _predict(run, films):
    """The signature's outputs; as in training, the CT is segmented before it is clipped."""
    ct = run.reconstruction(films, training=False)
    outputs = {"ct": tf.clip_by_value(ct, 0.0, 1.0)}
    if run.segmentation is not None:
        outputs["segmentation"] = run.segmentation(ct, training=False)
    return outputs


def _require_same_outputs(run, export):
    generator = np.random.default_rng(0)
    size = run.config.size
    films = {view: generator.random((1, size, size, 1), np.float32) for view in VIEWS}
    saved = export.load()(**{view: tf.constant(film) for view, film in films.items()})
    for name, expected in _predict(run, films).items():
        difference = float(tf.reduce_max(tf.abs(saved[name] - expected)))
        # Written so that NaN fails too.
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"{run.path}: {name} of the saved model differs by {difference:.2g} from the "
                f"networks' (at most {TOLERANCE:.0e} is allowed)"
            )


def _metadata(run):
    size = run.config.size
    record = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    sizes = {"batch": None, "x": size, "y": size, "z": size, "channel": 1, "class": NUM_CLASSES}

    def described(tensors):
        return {
            name: {"dtype": "float32", "shape": [sizes[a] for a in tensor["axes"]], **tensor}
            for name, tensor in tensors.items()
        }

    segmented = run.segmentation is not None
    outputs = {name: t for name, t in _OUTPUTS.items() if segmented or name != "segmentation"}
    return {
        "format": FORMAT,
        "notice": NOTICE,
        "signatures": {SIGNATURE: {"inputs": described(_INPUTS), "outputs": described(outputs)}},
        "frame": "LPS: x grows to the patient's left, y to posterior, z to superior",
        "size": size,
        "spacing_mm": _spacing_mm(run.config.data, record["data_sha256"]),
        "window_hu": WINDOW_HU,
        "classes": ["background", *VERTEBRAE] if segmented else None,
        "training": run.config.to_json(),
        "step": run.step,
        "data_sha256": record["data_sha256"],
        "versions": provenance.versions(),
    }


def _spacing_mm(path, data_sha256):
    """Median voxel size of a run's patients, or None if their folder is gone or changed."""
    try:
        dataset = open_dataset(path)
    except UserError:
        dataset = None
    if dataset is None or dataset.content_hash() != data_sha256:
        logging.warning("%s is no longer the run's data: the export has no voxel size", path)
        return None
    return float(np.median([patient["spacing_mm"] for patient in dataset.manifest["patients"]]))
