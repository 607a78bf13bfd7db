"""Exported models in ONNX format, run by ONNX Runtime without TensorFlow."""

import importlib.util

import numpy as np

from xctrs_tf.errors import UserError


def require_packages(packages, what):
    """Refuse to continue if an optional package is not installed.

    Args:
        packages: names of the packages.
        what: flag or file that needs them.

    Raises:
        UserError: one of them is not installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{what}: needs {', '.join(missing)}; pip install 'xctrs-tf[onnx]'")


def load_onnx(file, threads=0):
    """Load an ONNX file for the CPU.

    Args:
        file: path of the file.
        threads: threads per operation; 0 leaves the choice to ONNX Runtime.

    Returns:
        Function from the file's inputs, as keywords, to the dict of its outputs,
        float32 arrays.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is damaged.
    """
    require_packages(("onnxruntime",), file)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # The exceptions of ONNX Runtime have no other base class.
        raise UserError(f"{file}: damaged; run experiments.export again") from error
    names = [output.name for output in session.get_outputs()]

    def call(**inputs):
        arrays = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(names, session.run(names, arrays), strict=True))

    return call
