"""Model servers for the tests: an exported model behind the protocols of model servers.

They stand in for tensorflow_model_server, of which they share the messages and nothing
else: the gRPC one is made of tensorflow-serving-api's own servicer, the REST one of
what the documentation of version 1 of the API says. The KServe v2 one is made of what that
protocol's documentation says; tests/serving/test_triton.py has a real server.
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

    routes = {
        f"/v1/models/{MODEL}/metadata": lambda *_: (_json(_metadata(model)), {}),
        f"/v1/models/{MODEL}:predict": lambda body, _: (_json(_predict(model, body)), {}),
    }
    with http_server(_handler(model, routes)) as address:
        yield address


@contextlib.contextmanager
def kserve_server(model, binary=True):
    """Run a KServe v2 server, with the extension for binary tensors or without; yield its address.

    Without it, tensors are nested lists, which the protocol allows too.
    """
    server = {"name": "stub", "version": "1", "extensions": ["binary_tensor_data"] * binary}
    routes = {
        "/v2": lambda *_: (_json(server), {}),
        f"/v2/models/{MODEL}": lambda *_: (_json(_kserve_metadata(model)), {}),
        f"/v2/models/{MODEL}/infer": lambda *body: _infer(model, *body, binary),
    }
    with http_server(_handler(model, routes)) as address:
        yield address


def _json(values):
    return json.dumps(values).encode()


def _handler(model, routes):
    """Return the handler of a server: from path to function of the content and its headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(b"")

        def do_POST(self):
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body):
            status, headers = 200, {}
            if model.turned_away():
                status, content = 503, _json({"error": "The batch scheduling queue is full"})
            elif self.path not in routes:
                status, content = 404, _json({"error": "Servable not found for request"})
            else:
                try:
                    content, headers = routes[self.path](body, self.headers)
                except tf.errors.InvalidArgumentError as error:
                    status, content = 400, _json({"error": error.message})
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler


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


def _kserve_metadata(model):
    """Return the metadata of a model that takes PNG files as UINT8, as Triton tells them."""
    if "serving_bytes" not in model.signatures:
        return {"name": MODEL, "inputs": [], "outputs": []}
    names = {tf.int16: "INT16", tf.uint8: "UINT8", tf.float32: "FP32", tf.bool: "BOOL"}
    outputs = [
        {"name": name, "datatype": names[spec.dtype], "shape": [1, *spec.shape[1:]]}
        for name, spec in model.signatures["serving_bytes"].structured_outputs.items()
    ]
    for output in outputs:
        if output["name"] == "metadata_json":
            output["shape"][1] = -1
    inputs = [
        {"name": f"{view}_bytes", "datatype": "UINT8", "shape": [-1]} for view in ("ap", "la")
    ]
    return {"name": MODEL, "platform": "python", "inputs": inputs, "outputs": outputs}


def _infer(model, body, headers, binary):
    length = int(headers.get("Inference-Header-Content-Length", len(body)))
    request, rest = json.loads(body[:length]), body[length:]
    assert bool(rest) == binary
    inputs = {}
    for tensor in request["inputs"]:
        assert tensor["datatype"] == "UINT8"
        if binary:
            size = tensor["parameters"]["binary_data_size"]
            data, rest = rest[:size], rest[size:]
        else:
            data = bytes(tensor["data"])
        assert tensor["shape"] == [len(data)]
        inputs[tensor["name"]] = tf.constant([data])
    outputs = model.predict("serving_bytes", inputs)
    tensors, raw = [], b""
    for wanted in request["outputs"]:
        array = outputs[wanted["name"]].numpy()
        # A server may answer with JSON whatever was asked for.
        as_bytes = (
            wanted.get("parameters", {}).get("binary_data") and wanted["name"] != "spacing_mm"
        )
        names = {"int16": "INT16", "uint8": "UINT8", "float32": "FP32"}
        tensor = {"name": wanted["name"], "datatype": names[array.dtype.name]}
        tensor["shape"] = array.shape
        if as_bytes:
            tensor["parameters"] = {"binary_data_size": array.nbytes}
            raw += array.tobytes()
        else:
            tensor["data"] = array.tolist()
        tensors.append(tensor)
    answer = _json({"model_name": MODEL, "outputs": tensors})
    if not binary:
        return answer, {}
    return answer + raw, {"Inference-Header-Content-Length": len(answer)}


def _predict(model, body):
    body = json.loads(body)
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
