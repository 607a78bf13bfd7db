"""Reconstruction and segmentation of patients by a run."""

import dataclasses

import keras
import numpy as np

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS
from xctrs_tf.models.mirroring import predict_with_mirrored


def compile_run(run):
    """Compile the networks of a run, for predictions of many patients.

    The first prediction then takes seconds longer, and every other one a fraction of the time.
    Its numbers differ from those of the run as it was by rounding only.

    Args:
        run: `xctrs_tf.training.run.Run`.

    Returns:
        `Run` for `predict_case` and `reconstruct_case`. On JAX it is the same run, whose
        predictions are compiled in any case.
    """
    if keras.backend.backend() != "tensorflow":
        return run
    from xctrs_tf.training.tensorflow.compiled_network import CompiledNetwork

    networks = {name: getattr(run, name) for name in ("reconstruction", "segmentation")}
    compiled = {name: CompiledNetwork(each) for name, each in networks.items() if each is not None}
    return dataclasses.replace(run, **compiled)


def predict_case(run, case_id, arrays, mirror=False):
    """Reconstruct and segment one patient.

    Args:
        run: as of `predict_cases`.
        case_id: name of the patient.
        arrays: of the patient, as each of `predict_cases`.
        mirror: as of `predict_cases`.

    Returns:
        `(ct, labels)` as of `predict_cases`.

    Raises:
        UserError: an output of a network is not finite.
    """
    return predict_cases(run, [case_id], [arrays], mirror)[0]


def predict_cases(run, case_ids, arrays, mirror=False):
    """Reconstruct and segment patients in one batch.

    The returned reconstructions are clipped to [0, 1], the range that can be saved in
    HU. The segmentation network gets them unclipped, as in training.

    Args:
        run: `xctrs_tf.training.run.Run`.
        case_ids: names of the patients, for the error message.
        arrays: for each, dict of `ap` and `la`, `(size, size, 1)`, and `ct`, `(size, size,
            size, 1)`, of `xctrs_tf.data.dataset.network_arrays`.
        mirror: average with the prediction of the mirrored patient
            (`mirroring.predict_with_mirrored`).

    Returns:
        For each, `(ct, labels)`: float32 `[x, y, z]` in [0, 1], or None if the run
        segments the patient's own CT; and uint8 `[x, y, z]`, or None if the run
        has no segmentation network.

    Raises:
        UserError: an output of a network is not finite.
    """
    batches = {name: np.stack([each[name] for each in arrays]) for name in (*VIEWS, "ct")}

    def predict(inputs):
        return _volumes(run, case_ids, inputs)

    outputs = predict_with_mirrored(predict, batches) if mirror else predict(batches)
    cts = labels = [None] * len(arrays)
    if "ct" in outputs:
        cts = outputs["ct"][..., 0]
    if "segmentation" in outputs:
        labels = np.argmax(outputs["segmentation"], axis=-1).astype(np.uint8)
    return list(zip(cts, labels, strict=True))


def _volumes(run, case_ids, inputs):
    """Return the outputs of the networks for a batch: ``ct`` in [0, 1], and ``segmentation``."""
    outputs, volume = {}, inputs["ct"]
    if run.reconstruction is not None:
        films = {view: inputs[view] for view in VIEWS}
        volume = _to_numpy(_run(run.reconstruction, films), run, case_ids)
        outputs["ct"] = np.clip(volume, 0.0, 1.0)
    if run.segmentation is not None:
        outputs["segmentation"] = _to_numpy(_run(run.segmentation, volume), run, case_ids)
    return outputs


def reconstruct_case(run, case_id, arrays):
    """Reconstruct one patient, without clipping.

    Arguments and errors are those of `predict_case`.

    Returns:
        float32 `[x, y, z]`.
    """
    films = {view: arrays[view][np.newaxis] for view in VIEWS}
    return _to_numpy(_run(run.reconstruction, films), run, [case_id])[0, ..., 0]


def _run(network, inputs):
    if keras.backend.backend() == "jax":
        # One compilation for each network, not one for each of hundreds of operations.
        return network.predict_on_batch(inputs)
    return network(inputs, training=False)


def _to_numpy(tensor, run, case_ids):
    values = keras.ops.convert_to_numpy(tensor).astype(np.float32)
    # In the tables an empty cell means left out, which a failed case is not.
    for case_id, each in zip(case_ids, values, strict=True):
        if not np.isfinite(each).all():
            raise UserError(
                f"{run.path}: the networks give no numbers for {case_id}; take another checkpoint "
                "or another run"
            )
    return values
