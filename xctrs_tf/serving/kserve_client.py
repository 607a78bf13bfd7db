"""Client for the KServe v2 protocol over HTTP, which Triton and other model servers speak.

Tensors travel as bytes behind the JSON where the server says that it can (extension
``binary_tensor_data``), and as JSON numbers otherwise.
"""

import json
import math

import numpy as np

from xctrs_tf.reconstruction.exported_model import BYTES_SIGNATURE
from xctrs_tf.serving.http_client import MAX_METADATA_BYTES, HttpClient, parse_json

# Header with the number of bytes of the JSON before those of the tensors.
_JSON_LENGTH = "Inference-Header-Content-Length"
_BINARY = "binary_tensor_data"
# Types of tensors of numbers; bytes are in little-endian order.
_DTYPES = {
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "FP32": "<f4",
    "FP64": "<f8",
}


class KserveClient(HttpClient):
    """Client for the HTTP port of a KServe v2 server; arguments as for `ModelClient`.

    The model is that of `xctrs_tf.export.triton_repository`: one patient a request, its films as
    PNG files in tensors of UINT8, and the outputs of ``serving_bytes``.
    """

    api, port = "a KServe v2 server", "HTTP port (8000 by default)"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # What the server says of itself and the model, once it was asked.
        self._sends_bytes, self._offered = False, None

    def output_shapes(self, signature):
        """Read the shapes of the model's outputs.

        Args:
            signature: ``"serving_bytes"``, which is all that the model offers.

        Returns:
            Dict from output to shape; empty if the model does not take films as UINT8.

        Raises:
            UserError: no server, no such model, or an invalid response.
        """
        server, _ = self._request("/v2", None, MAX_METADATA_BYTES)
        model, _ = self._request(self._path(""), None, MAX_METADATA_BYTES)
        try:
            self._sends_bytes = _BINARY in server.get("extensions", ())
            inputs = {each["name"]: each["datatype"] for each in model["inputs"]}
            shapes = {
                each["name"]: tuple(int(edge) for edge in each["shape"])
                for each in model["outputs"]
            }
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise self._invalid_response() from error
        self._offered = tuple(shapes)
        films = {f"{view}_bytes": "UINT8" for view in ("ap", "la")}
        return shapes if signature == BYTES_SIGNATURE and inputs == films else {}

    def predict(self, signature, inputs, shapes):
        """Run the model for one patient; see `grpc_client.GrpcClient.predict`.

        Nested lists of JSON are returned as they are, and nothing in them is checked.
        """
        if self._offered is None:
            self.output_shapes(signature)
        request = self._binary_request if self._sends_bytes else self._json_request
        # To ask for an output that the model has not is an error.
        body, headers = request(inputs, [name for name in shapes if name in self._offered])
        path, limit = self._path("/infer"), self._answer_limit(shapes)
        response, content = self._request(path, body, limit, headers)
        try:
            return self._arrays(response["outputs"], content, shapes)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise self._invalid_response() from error

    def _path(self, method):
        return f"/v2/models/{self._quoted_model()}{method}"

    def _json_request(self, inputs, outputs):
        tensors = [{**_described(n, v), "data": list(v)} for n, v in inputs.items()]
        request = {"inputs": tensors, "outputs": [{"name": name} for name in outputs]}
        return json.dumps(request).encode(), None

    def _binary_request(self, inputs, outputs):
        tensors = [
            {**_described(n, v), "parameters": {"binary_data_size": len(v)}}
            for n, v in inputs.items()
        ]
        as_bytes = {"binary_data": True}
        wanted = [{"name": name, "parameters": as_bytes} for name in outputs]
        text = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
        headers = {"Content-Type": "application/octet-stream", _JSON_LENGTH: str(len(text))}
        return b"".join([text, *inputs.values()]), headers

    def _parsed(self, response):
        """Return the JSON of a response, and the bytes of the tensors behind it."""
        content, length = response.content, response.headers.get(_JSON_LENGTH)
        if length is None:
            return parse_json(content), b""
        length = int(length)
        if not 0 <= length <= len(content):
            raise ValueError("JSON beyond the end of the response")
        return parse_json(content[:length]), content[length:]

    def _arrays(self, tensors, content, shapes):
        """Decode the tensors that are wanted; ValueError if they or the bytes are not whole."""
        arrays = {}
        for tensor in tensors:
            size = tensor.get("parameters", {}).get("binary_data_size")
            data = tensor.get("data")
            if size is not None:
                if type(size) is not int or not 0 <= size <= len(content):
                    raise ValueError("bytes beyond the end of the response")
                data, content = content[:size], content[size:]
            if tensor["name"] in shapes:
                arrays[tensor["name"]] = _array(tensor, data, shapes[tensor["name"]])
        if content:
            raise ValueError("bytes of no tensor")
        return arrays


def _described(name, value):
    return {"name": name, "shape": [len(value)], "datatype": "UINT8"}


def _array(tensor, data, shape):
    """Return a tensor without its batch axis; -1 in the shape allows any length.

    Nested lists, which the protocol allows too, are returned as they are.
    """
    found = tuple(tensor["shape"])
    if any(type(edge) is not int or edge < 0 for edge in found) or len(found) != len(shape) + 1:
        raise ValueError("a shape that is none")
    if found[0] != 1 or any(w not in (-1, e) for w, e in zip(shape, found[1:], strict=True)):
        raise ValueError("a tensor of another shape")
    dtype, count = np.dtype(_DTYPES[tensor["datatype"]]), math.prod(found)
    if isinstance(data, bytes):
        return np.frombuffer(data, dtype).reshape(found)[0]
    if len(data) == 1 and isinstance(data[0], list):
        return data[0]
    array = np.array(data) if len(data) == count else None
    if array is None or array.dtype.kind not in "iuf":
        raise ValueError("no tensor of numbers")
    return array.reshape(found)[0]
