"""The model.py of a Triton model repository: it serves the SavedModel beside it.

`experiments.export --format=triton` copies this file into the version folder. Triton's Python
backend runs it, without this package: it needs TensorFlow, and NumPy below 2.
"""

import json
import os
import pathlib
import re
import sys

import triton_python_backend_utils as pb_utils

_INPUTS = ("ap_bytes", "la_bytes")
_MAX_MESSAGE = 300


class TritonPythonModel:
    """Signature ``serving_bytes`` of a SavedModel, one patient a request.

    Inputs ``ap_bytes`` and ``la_bytes``: the bytes of a PNG file each, as a tensor of UINT8.
    Outputs: those of the signature, with a batch axis of 1.
    """

    def initialize(self, args):
        """Load the SavedModel of this version and run it once.

        Args:
            args: strings of Triton; used are ``model_repository`` (the model's folder),
                ``model_version`` and ``model_instance_kind`` (CPU or GPU).
        """
        folder = pathlib.Path(args["model_repository"], args["model_version"])
        metadata = json.loads((folder / "assets.extra" / "metadata.json").read_bytes())
        if metadata.get("fpmath") == "bfloat16":
            # TensorFlow reads it when it is imported.
            os.environ.setdefault("TF_SET_ONEDNN_FPMATH_MODE", "BF16")
        # As this package does: without oneDNN, which TensorFlow leaves off on some processors, 3D
        # convolutions take many times longer and round otherwise.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        # TensorFlow imports JAX where it is installed, which is not used and may be too new for
        # the backend's NumPy.
        sys.modules.setdefault("jax", None)
        import tensorflow as tf

        self._tf = tf
        if args.get("model_instance_kind") == "CPU":
            tf.config.set_visible_devices([], "GPU")
        # As experiments.reconstruct runs the model: to optimise the graph takes seconds and
        # changes the last digits.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        # A signature does not keep the variables of its model alive.
        self._model = tf.saved_model.load(str(folder))
        self._signature = self._model.signatures["serving_bytes"]
        # The first run takes longer, and fails if the model is damaged.
        ramp = tf.tile(tf.range(256)[:, tf.newaxis, tf.newaxis], [1, 256, 1])
        self._run(dict.fromkeys(_INPUTS, tf.io.encode_png(tf.cast(ramp, tf.uint8)).numpy()))

    def execute(self, requests):
        """Answer requests, each with a response or an error of its own.

        Args:
            requests: list of `pb_utils.InferenceRequest`.

        Returns:
            List of `pb_utils.InferenceResponse`.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            tensors = {n: pb_utils.get_input_tensor_by_name(request, n) for n in _INPUTS}
            outputs = self._run({n: each.as_numpy().tobytes() for n, each in tensors.items()})
            wanted = [name for name in request.requested_output_names() if name in outputs]
            return pb_utils.InferenceResponse(
                output_tensors=[pb_utils.Tensor(n, outputs[n].numpy()) for n in wanted]
            )
        except self._tf.errors.InvalidArgumentError as error:
            # Of a message with the places in the graph, what it says of the film.
            film = re.search(r"\[(film: [^\]]*)\]", error.message)
            text = film[1] if film else error.message[:_MAX_MESSAGE]
            return _refusal(text, pb_utils.TritonError.INVALID_ARG)
        # One request must not end the server.
        except Exception as error:
            text = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE]
            return _refusal(text, pb_utils.TritonError.INTERNAL)

    def _run(self, pngs):
        return self._signature(**{name: self._tf.constant([png]) for name, png in pngs.items()})


def _refusal(text, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))
