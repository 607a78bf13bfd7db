"""Client for TensorFlow Serving's gRPC API."""

from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import ModelClient, Unavailable

try:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as error:
    raise UserError(
        "gRPC needs tensorflow-serving-api: pip install 'xctrs-tf[serving]', or use --rest"
    ) from error

# By default, gRPC refuses messages over 4 MB, and a server sends a negative integer as
# ten bytes (docs/serving.md).
MAX_MESSAGE_BYTES = 2**28


class GrpcClient(ModelClient):
    """Client for the gRPC port of a model server; arguments as for `ModelClient`."""

    def __init__(self, address, *args, **kwargs):
        super().__init__(address, *args, **kwargs)
        limits = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
        channel = grpc.insecure_channel(address, [(name, MAX_MESSAGE_BYTES) for name in limits])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

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
        response.metadata["signature_def"].Unpack(signatures)
        outputs = signatures.signature_def[signature].outputs
        return {
            name: tuple(dim.size for dim in output.tensor_shape.dim)
            for name, output in outputs.items()
        }

    def predict(self, signature, inputs):
        """Run a signature for one patient.

        Args:
            signature: name of the signature.
            inputs: dict from input to bytes.

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
        try:
            return {name: tf.make_ndarray(output)[0] for name, output in response.outputs.items()}
        except (TypeError, ValueError, IndexError) as error:
            raise UserError(f"--server={self.address}: the answer has no tensors") from error

    def _call(self, method, request):
        try:
            return method(request, timeout=self._retry.timeout_s)
        except grpc.RpcError as error:
            code, details = error.code(), " ".join((error.details() or "").split())
            if code is grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(details) from error
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._too_slow() from error
            raise UserError(f"--server={self.address}, {self.model}: {details}") from error
