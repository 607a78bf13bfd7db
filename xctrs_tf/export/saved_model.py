"""A training run as a SavedModel or an ONNX file that needs nothing of this package to run."""

import errno
import itertools
import json
import logging
import os
import pathlib
import tempfile

import tensorflow as tf

from xctrs_tf.errors import UserError
from xctrs_tf.export.metadata import describe_run
from xctrs_tf.export.plain_networks import with_plain_normalizations
from xctrs_tf.export.signatures import Signatures, describe
from xctrs_tf.export.verification import differences, try_networks
from xctrs_tf.export.warmup import write_warmup
from xctrs_tf.files import write_text
from xctrs_tf.reconstruction.exported_model import (
    METADATA,
    ONNX_MODEL,
    SIGNATURE,
    Export,
    version_numbers,
)
from xctrs_tf.reconstruction.onnx_model import CONVERSION, require_packages, write_onnx
from xctrs_tf.style import NOTICE

# Largest difference between the networks and what is saved. The unit is that of the
# outputs: the width of the CT window, and certainty.
TOLERANCE = 1e-5
# ONNX Runtime sums in another order than TensorFlow.
ONNX_TOLERANCE = 1e-4
# By how they are stored, since eleven significant bits of a weight cannot do better.
QUANTIZED_TOLERANCE = {"float16": 5e-2}


def export_run(run, output, quantize=None, file_format="savedmodel"):
    """Save a run's networks as the next version in a folder.

    `signatures.describe` names the signatures and their tensors. Several exports
    may write to one folder at a time.

    Args:
        run: `xctrs_tf.training.run.Run`.
        output: folder of versions; made if it is not there.
        quantize: ``"float16"`` stores the weights so, in half the space; they are
            cast back when they are used.
        file_format: ``"savedmodel"``, or ``"onnx"``: ``serving_default`` as one file.

    Returns:
        Path of the version folder.

    Raises:
        UserError: the run has no reconstruction network or does not compute in
            float32, its weights cannot be quantised or the networks be converted,
            the packages for that are not installed, or the folder cannot be made.
        RuntimeError: the saved model does not compute what the networks do.
    """
    if run.reconstruction is None:
        raise UserError(f"{run.path}: only segments CTs; export a run that reconstructs")
    _require_float32(run)
    if file_format == "onnx":
        require_packages(CONVERSION, "--format=onnx")
        if quantize:
            raise UserError(
                f"--quantize={quantize}: not with --format=onnx, whose weights are float32"
            )
    output = pathlib.Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: no folder ({error.strerror}); choose another") from error
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output) as scratch:
        folder = pathlib.Path(scratch) / "version"
        _write(run, folder, quantize, file_format)
        return _publish(folder, output)


def _require_float32(run):
    """Refuse networks of which no two graphs compute the same to many digits."""
    for network in filter(None, (run.reconstruction, run.segmentation)):
        if network.compute_dtype != "float32":
            raise UserError(
                f"{run.path}: computes in {network.compute_dtype}; load it with "
                'load_run(..., precision="float32"), the precision of its weights'
            )


def _write(run, folder, quantize, file_format):
    metadata = describe_run(run)
    if file_format == "onnx":
        signatures = Signatures(with_plain_normalizations(run))
        folder.mkdir()
        write_onnx(signatures.concrete()[SIGNATURE], folder / ONNX_MODEL, NOTICE)
    else:
        signatures = Signatures(run, metadata["spacing_mm"], quantize)
        module = tf.Module()
        module.weights = signatures.weights
        tf.saved_model.save(module, folder, signatures=signatures.concrete())

    trial = try_networks(run)
    loaded = Export(folder, metadata).load_signatures()
    found = differences(trial, loaded)
    _require_same_outputs(run, found, quantize, file_format)

    described = describe(run.config.size, signatures.segments, metadata["spacing_mm"] is not None)
    metadata["signatures"] = {name: described[name] for name in described if name in loaded}
    metadata["weights"] = {"quantize": quantize, "largest_differences": found}
    (folder / METADATA).parent.mkdir()
    write_text(folder / METADATA, json.dumps(metadata, indent=1) + "\n")
    if file_format == "savedmodel" and not write_warmup(folder, trial.requests()):
        logging.warning(
            "tensorflow-serving-api is not installed: the export has no warm-up requests "
            "(pip install 'xctrs-tf[serving]')"
        )


def _require_same_outputs(run, found, quantize, file_format):
    # What the user chose, and can choose otherwise.
    choice, tolerance = None, TOLERANCE
    if quantize:
        choice, tolerance = f"--quantize={quantize}", QUANTIZED_TOLERANCE[quantize]
    elif file_format == "onnx":
        choice, tolerance = "--format=onnx", ONNX_TOLERANCE
    for name, difference in found.items():
        # Written so that NaN fails too.
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


def _publish(folder, output):
    """Give a whole version folder the next free number.

    A folder cannot be renamed to one that holds files, so that of two exports
    which finish at a time the second takes the number after.
    """
    for number in itertools.count(max(version_numbers(output), default=0) + 1):
        version = output / str(number)
        try:
            os.rename(folder, version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return version
