"""The export as one ONNX file: converted by tf2onnx, run by ONNX Runtime without TensorFlow."""

import importlib.util
import logging

import numpy as np

from xctrs_tf.errors import UserError

# The newest that tf2onnx writes.
OPSET = 18
CONVERSION = ("onnx", "onnxruntime", "tf2onnx")
INFERENCE = ("onnxruntime",)


def require_packages(packages, what):
    """Refuse to begin where an optional package is absent.

    Args:
        packages: names of what will be imported, `CONVERSION` or `INFERENCE`.
        what: flag or file that needs them.

    Raises:
        UserError: one of them is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{what}: needs {', '.join(missing)}; pip install 'xctrs-tf[onnx]'")


def write_onnx(signature, file, notice):
    """Convert a signature and its weights.

    Args:
        signature: one of `xctrs_tf.export.signatures.Signatures.concrete`; its
            tensors keep their names, and the batch stays free.
        file: path of the ONNX file.
        notice: what the file says of itself.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    inputs, _ = signature.structured_input_signature

    @tf.function(input_signature=inputs, autograph=False)
    def call(*tensors):
        return signature(**{spec.name: x for spec, x in zip(inputs, tensors, strict=True)})

    # Otherwise it tells every constant that it folds.
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    model, _ = tf2onnx.convert.from_function(call, inputs, opset=OPSET)
    for tensor in [*model.graph.input, *model.graph.output]:
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.doc_string = notice
    onnx.save(model, file)


def load_onnx(file, threads=0):
    """Load an ONNX file for the CPU.

    Args:
        file: path of the file.
        threads: that work on one operation; 0 leaves it to ONNX Runtime.

    Returns:
        Function of the file's inputs, as keywords, to the dict of its outputs,
        arrays in float32.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is damaged.
    """
    require_packages(INFERENCE, file)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # What ONNX Runtime raises has no other base.
        raise UserError(f"{file}: damaged; run experiments.export again") from error
    names = [output.name for output in session.get_outputs()]

    def call(**inputs):
        arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return call
