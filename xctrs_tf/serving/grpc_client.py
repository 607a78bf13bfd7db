"""Client for TensorFlow Serving's gRPC API."""

import logging
import math
import os
import pathlib
import ssl

from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import ModelClient, Unavailable

# gRPC writes what a server says to stderr, whatever characters it has. Read at the import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

try:
    import grpc
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as error:
    raise UserError(
        "gRPC needs tensorflow-serving-api: pip install 'xctrs-tf[serving]', or use --protocol=rest"
    ) from error

# By default, gRPC refuses messages over 4 MB, and a server sends a negative integer as
# ten bytes, so 23 MB at 128^3 (docs/serving.md).
MAX_MESSAGE_BYTES = 2**26
# Fields of a TensorProto with values of the types that a server may answer with.
_FIELDS = {
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.int64: "int64_val",
    tf.float32: "float_val",
    tf.float64: "double_val",
}
# In the details of an error that is otherwise that of a server which is not there.
_REFUSED_CERTIFICATE = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed")
# It prints a traceback where a message cannot be decoded; the error tells it anyway.
_NOISY_LOG = "grpc._common"
# Names a file of authorities, which gRPC reads itself.
_OWN_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"


class GrpcClient(ModelClient):
    """Client for the gRPC port of a model server; arguments as for `ModelClient`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        limits = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
        options = [(name, MAX_MESSAGE_BYTES) for name in limits]
        options.append(("grpc.enable_http_proxy", int(self._security.use_proxy)))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel(options))
        logging.getLogger(_NOISY_LOG).setLevel(logging.CRITICAL)

    def _channel(self, options):
        # Also refuses a file without certificates, which gRPC would not name.
        if self._security.context() is None:
            return grpc.insecure_channel(self.address, options)
        ca_file = self._security.ca_file
        roots = pathlib.Path(ca_file).read_bytes() if ca_file else _authorities()
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(roots), options)

    def output_shapes(self, signature):
        """Read the shapes of a signature's outputs.

        Args:
            signature: name of the signature.

        Returns:
            Dict from output to shape; empty if there is no such signature.

        Raises:
            UserError: no server, no such model, or an invalid response.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.model
        response = self._request(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        try:
            response.metadata["signature_def"].Unpack(signatures)
        except DecodeError as error:
            raise self._invalid_response("metadata") from error
        outputs = signatures.signature_def[signature].outputs
        return {
            name: tuple(dim.size for dim in output.tensor_shape.dim)
            for name, output in outputs.items()
        }

    def predict(self, signature, inputs, shapes):
        """Run a signature for one patient.

        Args:
            signature: name of the signature.
            inputs: dict from input to bytes.
            shapes: dict from each output that is wanted to its shape without the batch
                axis; a tensor of another shape is not decoded.

        Returns:
            Dict from output to array, without the batch axis.

        Raises:
            UserError: no server, an error of the model, or an invalid response.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto([value]))
        response = self._request(self._stub.Predict, request)
        return {
            name: self._array(name, response.outputs[name], shape)
            for name, shape in shapes.items()
            if name in response.outputs
        }

    def _array(self, name, proto, shape):
        """Decode a tensor that has the shape and as many values as the shape says.

        TensorFlow itself allocates whatever a shape says, and repeats the last value.
        """
        found = tuple(dim.size for dim in proto.tensor_shape.dim)
        if found != (1, *shape):
            raise self._invalid_response(f"{name} of {len(found)} axes, {found[:4]}")
        try:
            dtype = tf.dtypes.as_dtype(proto.dtype)
            values = getattr(proto, _FIELDS[dtype])
            if not proto.tensor_content and len(values) != math.prod(found):
                raise self._invalid_response(f"{name} with {len(values)} values")
            return tf.make_ndarray(proto)[0]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._invalid_response(f"{name} that is no array of numbers") from error

    def _invalid_response(self, what):
        return UserError(
            f"--server={self.address}: answers with {what}; is {self.model} an export of this "
            "project?"
        )

    def _call(self, method, request):
        try:
            return method(request, timeout=self._retry.timeout_s)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
            if code is grpc.StatusCode.UNAVAILABLE:
                for words in _REFUSED_CERTIFICATE:
                    if words in details:
                        raise self._certificate_refused(details[details.index(words) :]) from error
                raise Unavailable(details) from error
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._too_slow() from error
            raise self._refused(details, code.name) from error


def _authorities():
    """Return the certificates that the system trusts, which gRPC does not read itself.

    None for those of gRPC: where its own variable names them, or the system has none.
    """
    if os.environ.get(_OWN_VARIABLE):
        return None
    paths = ssl.get_default_verify_paths()
    files = [pathlib.Path(paths.cafile)] if paths.cafile else []
    if paths.capath:
        # As OpenSSL names them: by the hash of the subject, and a number.
        files += sorted(pathlib.Path(paths.capath).glob("????????.[0-9]"))
    # A link may lead nowhere.
    return b"\n".join(file.read_bytes() for file in files if file.is_file()) or None
