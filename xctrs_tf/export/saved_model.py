"""Export of a training run as a SavedModel or ONNX file that runs without this package."""

import logging
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf

from xctrs_tf.errors import UserError, graph_error_text
from xctrs_tf.export.fused_networks import with_fused_normalizations
from xctrs_tf.export.metadata import describe_run
from xctrs_tf.export.model_card import model_card
from xctrs_tf.export.onnx_conversion import CONVERSION_PACKAGES, require_onnx_options, write_onnx
from xctrs_tf.export.plain_networks import with_plain_normalizations
from xctrs_tf.export.signatures import Signatures, describe_signatures
from xctrs_tf.export.triton_repository import (
    check_config,
    tensors_text,
    write_config,
    write_model_file,
)
from xctrs_tf.export.verification import errors_beside_float32, largest_errors, run_networks
from xctrs_tf.files import sync, write_json, write_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.models.weights import save_weights
from xctrs_tf.pretrained import EXPORTED_WEIGHTS
from xctrs_tf.progress import stage
from xctrs_tf.reconstruction.export_files import (
    CHECKSUMS,
    METADATA,
    MODEL_CARD,
    check_metadata,
    write_checksums,
)
from xctrs_tf.reconstruction.exported_model import (
    DEFAULT_SIGNATURE,
    ONNX_MODEL,
    WARMUP,
    Export,
    version_numbers,
)
from xctrs_tf.reconstruction.onnx_model import require_packages
from xctrs_tf.style import NOTICE

# Start of the name of a version folder that is being written.
_SCRATCH = ".export-"
# Largest difference allowed between the networks and the saved model, in the unit of the
# outputs: CT scaled to [0, 1], and probability.
TOLERANCE = 1e-5
# ONNX Runtime sums in a different order from TensorFlow.
ONNX_TOLERANCE = 1e-4
# By type of the stored weights: float16 has 11 significant bits.
QUANTIZED_TOLERANCE = {"float16": 5e-2}
# Of networks that compute in bfloat16, which has 8 significant bits. Single voxels differ
# by many times the mean, which is what is limited.
BFLOAT16_TOLERANCE = {"mean_ct_hu": 50.0, "mean_segmentation": 2e-2}


def export_run(
    run, output, quantize=None, file_format="savedmodel", bfloat16_run=None, fpmath="float32"
):
    """Save the networks of a run as the next version in a folder.

    `signatures.describe_signatures` lists the signatures and their tensors.

    Args:
        run: `xctrs_tf.training.run.Run`.
        output: folder of versions, created if missing.
        quantize: ``"float16"`` stores the weights in half the space; they are cast
            back for computing. None stores them unchanged.
        file_format: ``"savedmodel"``; ``"onnx"`` for ``serving_default`` as one file;
            ``"weights"`` for the weights alone, which this package runs; or ``"triton"`` for a
            SavedModel with a config.pbtxt and model.py, where ``output`` is the model's folder in
            Triton's repository.
        bfloat16_run: the same run, loaded with the precision ``"mixed_bfloat16"``; then its
            networks are stored, and compared with those of ``run``.
        fpmath: of `processor.FPMATHS`, with which `reconstruction.load` runs the model.

    Returns:
        Path of the version folder.

    Raises:
        UserError: the run only segments and the weights are not exported alone, it does not
            compute in float32, 16-bit, quantised or converted outputs differ too much, the
            packages for conversion are not installed, another process exports to the folder,
            it cannot be written, or it has a config.pbtxt of another model.
        RuntimeError: the outputs of the saved model differ from the networks'.
    """
    if run.reconstruction is None and file_format != "weights":
        raise UserError(
            f"{run.path}: only segments CTs; export it with --format=weights, for "
            "experiments.segment"
        )
    _require_float32(run)
    if file_format == "onnx":
        require_packages(CONVERSION_PACKAGES, "--format=onnx")
        require_onnx_options(quantize, "bfloat16" if bfloat16_run else "float32", fpmath)
    output = pathlib.Path(output)
    with folder_lock(output):
        for leftover in output.glob(f"{_SCRATCH}*"):
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=output) as scratch:
            folder = pathlib.Path(scratch) / "version"
            try:
                metadata = _write(run, folder, quantize, file_format, bfloat16_run, fpmath)
                sync(folder)
            except tf.errors.OpError as error:
                raise UserError(f"{output}: export failed: {graph_error_text(error)}") from error
            if file_format == "triton":
                tensors = tensors_text(metadata["signatures"])
                check_config(output, tensors)
                # A server that watches the folder needs it to load the version.
                write_config(output, tensors)
            version = output / str(max(version_numbers(output), default=0) + 1)
            os.rename(folder, version)
            sync(output, content=False)
    return version


def _require_float32(run):
    """Refuse 16-bit networks: two graphs of one agree to few digits only."""
    for network in filter(None, (run.reconstruction, run.segmentation)):
        if network.compute_dtype != "float32":
            raise UserError(
                f"{run.path}: computes in {network.compute_dtype}; load it with "
                'load_run(..., precision="float32"), the precision of its weights'
            )


def _write(run, folder, quantize, file_format, bfloat16_run, fpmath):
    """Write a version folder; return its metadata."""
    metadata = describe_run(run)
    metadata |= {"precision": "bfloat16" if bfloat16_run else "float32", "fpmath": fpmath}
    check_metadata(metadata, run.path)
    described = describe_signatures(metadata)
    (folder / METADATA).parent.mkdir(parents=True)
    # For fine-tuning, and for programs that build the networks.
    parts = filter(None, (run.reconstruction, run.segmentation))
    save_weights(folder / EXPORTED_WEIGHTS, parts, quantize or "float32")
    _write_graph(run, folder, metadata, quantize, file_format, bfloat16_run)
    with stage("comparing the export with the networks"):
        trial = run_networks(run)
        loaded = Export(folder, metadata).load_signatures()
        errors = largest_errors(trial, loaded)
        away = errors_beside_float32(trial, loaded) if bfloat16_run else None
        metadata["difference_from_float32"] = away
    if bfloat16_run:
        _require_close_outputs(away, quantize)
    else:
        _require_same_outputs(run, errors, quantize, file_format)

    metadata["signatures"] = {name: described[name] for name in described if name in loaded}
    metadata["weights"] = {"quantize": quantize, "largest_differences": errors}
    metadata["checksums"] = CHECKSUMS
    write_json(folder / METADATA, metadata)
    write_text(folder / MODEL_CARD, model_card(metadata))
    if file_format == "triton":
        write_model_file(folder)
    if file_format == "savedmodel" and not _write_warmup(folder, trial.requests()):
        logging.warning(
            "tensorflow-serving-api is not installed: the export has no warm-up requests "
            "(pip install 'xctrs-tf[serving]')"
        )
    write_checksums(folder)
    return metadata


def _write_graph(run, folder, metadata, quantize, file_format, bfloat16_run):
    """Write the SavedModel or the ONNX file of a version folder; weights alone have no graph."""
    if file_format == "onnx":
        with stage("tracing the networks"):
            signatures = Signatures(with_plain_normalizations(run))
            traced = signatures.concrete()
        with stage("converting to ONNX"):
            write_onnx(traced[DEFAULT_SIGNATURE], folder / ONNX_MODEL, NOTICE)
    elif file_format in ("savedmodel", "triton"):
        module = tf.Module()
        with stage("tracing the networks"):
            networks = with_fused_normalizations(bfloat16_run) if bfloat16_run else run
            signatures = Signatures(networks, dict(metadata), quantize)
            module.weights = signatures.weights
            traced = signatures.concrete()
        with stage("saving the networks"):
            tf.saved_model.save(module, folder, signatures=traced)


def _write_warmup(folder, requests):
    """Write requests that TensorFlow Serving runs when it loads the model.

    The first request of a graph takes many times longer than the next ones.

    Args:
        folder: version folder with ``assets.extra``.
        requests: dict from signature to dict of its inputs as arrays.

    Returns:
        True if they were written, False if tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog
    except ImportError:
        return False
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for signature, inputs in requests.items():
            request = PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())
    return True


def _require_close_outputs(away, quantize):
    choice = "--precision=bfloat16" + (f" --quantize={quantize}" if quantize else "")
    for name, tolerance in BFLOAT16_TOLERANCE.items():
        # Written so that NaN fails, too.
        if name in away and not away[name] <= tolerance:
            raise UserError(
                f"{choice}: {name} is {away[name]:.2g} from float32 (at most "
                f"{tolerance:g} is allowed); export without it"
            )


def _require_same_outputs(run, errors, quantize, file_format):
    # Flag to which a difference is due.
    choice, tolerance = None, TOLERANCE
    if quantize:
        choice, tolerance = f"--quantize={quantize}", QUANTIZED_TOLERANCE[quantize]
    elif file_format == "onnx":
        choice, tolerance = "--format=onnx", ONNX_TOLERANCE
    for name, difference in errors.items():
        # Written so that NaN fails, too.
        if difference <= tolerance:
            continue
        if choice:
            raise UserError(
                f"{choice}: {name} differs by {difference:.2g} from the networks' "
                f"(at most {tolerance:.0e} is allowed); export without it"
            )
        raise RuntimeError(
            f"{run.path}: {name} of the saved model differs by {difference:.2g} from the "
            f"networks' (at most {tolerance:.0e} is allowed)"
        )
