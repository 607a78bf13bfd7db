"""The exported networks in TensorFlow, ONNX Runtime and OpenVINO on the CPU, in turns."""

import importlib.util
import os
import pathlib
import tempfile
import time

import numpy as np

from xctrs_tf.geometry import VIEWS

PARTS = ("reconstruction", "segmentation", "both")
REFERENCE = "TensorFlow"
# Packages that each runtime needs.
OTHERS = {"ONNX Runtime": ("onnxruntime", "tf2onnx"), "OpenVINO": ("openvino",)}


def missing():
    """Return the names of the runtimes that are not installed."""
    return [
        name
        for name, packages in OTHERS.items()
        if not all(map(importlib.util.find_spec, packages))
    ]


def compare(run, repeats):
    """Time one patient in every runtime that is installed, with equally many threads.

    Args:
        run: `xctrs_tf.training.run.Run` of float32 with both networks.
        repeats: measurements of each time.

    Yields:
        Each of `PARTS` with a dict from runtime, TensorFlow first, to ``(seconds,
        difference)``: a list with one value for each repeat, and the largest absolute
        difference of the output from TensorFlow's.
    """
    from xctrs_tf.export.signatures import Signatures

    # A name of its own, since the traced functions do not keep the weights alive.
    served = Signatures(run)
    runtimes = {REFERENCE: served.concrete(), **_convert(run)}
    size = run.config.size
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, size, size, 1), np.float32) for view in VIEWS}
    ct = rng.random((1, size, size, size, 1), np.float32)
    for part in PARTS:
        calls = {name: _call(runtime, part, films, ct) for name, runtime in runtimes.items()}
        outputs = {name: call() for name, call in calls.items()}
        times = {name: [] for name in calls}
        # In turns, so that what else runs on the machine slows all of them alike.
        for repeat in range(repeats + 1):
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                if repeat:  # The first one warms up.
                    times[name].append(time.perf_counter() - began)
        expected = outputs[REFERENCE]
        differences = {n: float(np.abs(output - expected).max()) for n, output in outputs.items()}
        yield part, {name: (times[name], differences[name]) for name in calls}


def _convert(run):
    """Dict from runtime to dict from network to function of its inputs as keywords."""
    from xctrs_tf.export.plain_networks import with_plain_normalizations
    from xctrs_tf.export.signatures import Signatures

    plain = Signatures(with_plain_normalizations(run))
    signatures = {name: each for name, each in plain.concrete().items() if name in PARTS}
    loaders = {"ONNX Runtime": _onnx_runtime, "OpenVINO": _openvino}
    return {
        runtime: {name: load(signature) for name, signature in signatures.items()}
        for runtime, load in loaders.items()
        if runtime not in missing()
    }


def _onnx_runtime(signature):
    from xctrs_tf.export.onnx_conversion import write_onnx
    from xctrs_tf.reconstruction.onnx_model import load_onnx

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.onnx"
        write_onnx(signature, file, "")
        return load_onnx(file, os.cpu_count())


def _openvino(signature):
    import openvino

    model = openvino.convert_model(signature)
    # One patient: with a free batch it plans less.
    shapes = {tensor.any_name: [1, *tensor.partial_shape[1:]] for tensor in model.inputs}
    model.reshape(shapes)
    settings = {"INFERENCE_NUM_THREADS": os.cpu_count(), "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(model, "CPU", settings)
    return lambda **inputs: {tensor.any_name: x for tensor, x in compiled(inputs).items()}


def _call(runtime, part, films, ct):
    """A function without arguments that computes a part's output."""

    def reconstruct():
        return np.asarray(runtime["reconstruction"](**films)["ct"])

    def segment(ct):
        return np.asarray(runtime["segmentation"](ct=ct)["segmentation"])

    return {
        "reconstruction": reconstruct,
        "segmentation": lambda: segment(ct),
        "both": lambda: segment(reconstruct()),
    }[part]
