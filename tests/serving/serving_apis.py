"""Model servers for the tests: an exported model behind both TensorFlow Serving protocols.

They stand in for tensorflow_model_server, of which they share the messages and nothing
else: the gRPC one is made of tensorflow-serving-api's own servicer, the REST one of
what the documentation of version 1 of the API says.
"""

import base64
import contextlib
import http.server
import json
import threading
from concurrent import futures

import tensorflow as tf

MODEL = "xctrsnet"


class StubModel:
    """Signatures of a model that records its requests.

    Attributes:
        requests: list of (signature, inputs).
        busy: number of next requests to refuse as busy.
    """

    def __init__(self, signatures):
        self.signatures = signatures
        self.requests = []
        self.busy = 0

    def turned_away(self):
        self.busy -= 1
        return self.busy >= 0

    def predict(self, signature, inputs):
        self.requests.append((signature, inputs))
        return self.signatures[signature](**inputs)


@contextlib.contextmanager
def grpc_server(model, as_fields=True):
    """The address of a gRPC server; ``as_fields`` as tensorflow_model_server does."""
    import grpc
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def GetModelMetadata(self, request, context):
            self._check(request, context)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in model.signatures.items():
                outputs = signatures.signature_def[name].outputs
                for key, spec in signature.structured_outputs.items():
                    outputs[key].dtype = spec.dtype.as_datatype_enum
                    outputs[key].tensor_shape.CopyFrom(spec.shape.as_proto())
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            answer.metadata["signature_def"].Pack(signatures)
            return answer

        def Predict(self, request, context):
            self._check(request, context)
            inputs = {
                name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()
            }
            try:
                outputs = model.predict(request.model_spec.signature_name, inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                proto = tf.make_tensor_proto(value)
                if as_fields and value.dtype in (tf.int16, tf.uint8):
                    proto.ClearField("tensor_content")
                    proto.int_val.extend(value.numpy().ravel().tolist())
                answer.outputs[name].CopyFrom(proto)
            return answer

        def _check(self, request, context):
            if model.turned_away():
                context.abort(grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue is full")
            if request.model_spec.name != MODEL:
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")

    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def rest_server(model):
    """Run a REST server; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(f"/v1/models/{MODEL}/metadata", lambda: _metadata(model))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(f"/v1/models/{MODEL}:predict", lambda: _predict(model, body))

        def _answer(self, path, make):
            status, answer = 200, None
            if model.turned_away():
                status, answer = 503, {"error": "The batch scheduling queue is full"}
            elif self.path != path:
                status, answer = 404, {"error": "Servable not found for request"}
            else:
                try:
                    answer = make()
                except tf.errors.InvalidArgumentError as error:
                    status, answer = 400, {"error": error.message}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http_server(Handler) as address:
        yield address


@contextlib.contextmanager
def http_server(handler):
    """Run an HTTP server; yield its address."""
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _metadata(model):
    def dims(shape):
        return [{"size": str(-1 if edge is None else edge), "name": ""} for edge in shape]

    signatures = {
        name: {
            "outputs": {
                key: {"tensor_shape": {"dim": dims(spec.shape), "unknown_rank": False}}
                for key, spec in signature.structured_outputs.items()
            }
        }
        for name, signature in model.signatures.items()
    }
    return {"metadata": {"signature_def": {"signature_def": signatures}}}


def _predict(model, body):
    instances = body["instances"]
    inputs = {
        name: tf.constant([base64.b64decode(instance[name]["b64"]) for instance in instances])
        for name in instances[0]
    }
    outputs = model.predict(body["signature_name"], inputs)
    rows = [
        {name: value[i].numpy().tolist() for name, value in outputs.items()}
        for i in range(len(instances))
    ]
    # The API leaves the name of a signature's only output out.
    only = next(iter(outputs)) if len(outputs) == 1 else None
    return {"predictions": [row[only] for row in rows] if only else rows}
