"""The exported networks in TensorFlow, ONNX Runtime and OpenVINO on the CPU, in turns."""

import importlib.util
import os
import pathlib
import tempfile
import time

import numpy as np

from xctrs_tf.geometry import VIEWS

PARTS = ("reconstruction", "segmentation", "both")
REFERENCE = "TensorFlow float32"
BFLOAT16 = "TensorFlow bfloat16"
# Precision of the networks that TensorFlow runs.
PRECISIONS = {REFERENCE: "float32", BFLOAT16: "mixed_bfloat16"}
# Packages that each runtime needs.
OTHERS = {"ONNX Runtime": ("onnxruntime", "tf2onnx"), "OpenVINO": ("openvino",)}


def missing():
    """Return the names of the runtimes that are not installed."""
    return [
        name
        for name, packages in OTHERS.items()
        if not all(map(importlib.util.find_spec, packages))
    ]


def compare(runs, repeats):
    """Time one patient in every runtime that is installed, with equally many threads.

    Args:
        runs: dict from each of `PRECISIONS` to `xctrs_tf.training.run.Run` with both
            networks and the same weights. TensorFlow runs them as they are exported;
            the other runtimes run the first, `REFERENCE`.
        repeats: measurements of each time.

    Yields:
        Each of `PARTS` with a dict from runtime, TensorFlow first, to ``(seconds,
        difference)``: a list with one value for each repeat, and the largest absolute
        difference of the output from the first one's. OpenVINO runs at its own default
        precision and in float32; its names end with the precision that it chose.
    """
    from xctrs_tf.export.fused_networks import with_fused_normalizations
    from xctrs_tf.export.signatures import Signatures
    from xctrs_tf.reconstruction.exported_model import plain_graphs

    run = runs[REFERENCE]
    exported = {REFERENCE: run, BFLOAT16: with_fused_normalizations(runs[BFLOAT16])}
    # Kept by name, since the traced functions do not keep the weights alive.
    served = {name: Signatures(each) for name, each in exported.items()}
    runtimes = {name: each.concrete() for name, each in served.items()}
    runtimes |= _convert(run)
    size = run.config.size
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, size, size, 1), np.float32) for view in VIEWS}
    ct = rng.random((1, size, size, size, 1), np.float32)
    for part in PARTS:
        calls = {name: _call(runtime, part, films, ct) for name, runtime in runtimes.items()}
        times = {name: [] for name in calls}
        # As exported models are run.
        with plain_graphs():
            outputs = {name: call() for name, call in calls.items()}
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
    runtimes = {}
    if "ONNX Runtime" not in missing():
        runtimes["ONNX Runtime"] = {n: _onnx_runtime(each) for n, each in signatures.items()}
    if "OpenVINO" not in missing():
        precision, functions = _openvino(signatures, {})
        runtimes[f"OpenVINO default ({precision})"] = functions
        float32 = {"INFERENCE_PRECISION_HINT": "f32"}
        _, runtimes["OpenVINO float32"] = _openvino(signatures, float32)
    return runtimes


def _onnx_runtime(signature):
    from xctrs_tf.export.onnx_conversion import write_onnx
    from xctrs_tf.reconstruction.onnx_model import load_onnx

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.onnx"
        write_onnx(signature, file, "")
        return load_onnx(file, os.cpu_count())


def _openvino(signatures, settings):
    """Precision that OpenVINO chose, and dict from network to function of its inputs."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": os.cpu_count(), **settings}
    functions = {}
    for name, signature in signatures.items():
        model = openvino.convert_model(signature)
        # One patient: with a free batch it plans less.
        model.reshape({each.any_name: [1, *each.partial_shape[1:]] for each in model.inputs})
        compiled = openvino.compile_model(model, "CPU", settings)
        functions[name] = _with_names(compiled)
    # The setting of a compiled model is what it runs at.
    return compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), functions


def _with_names(compiled):
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
