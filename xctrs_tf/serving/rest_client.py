"""Client for TensorFlow Serving's REST API, without TensorFlow and gRPC."""

import base64
import json

from xctrs_tf.serving.http_client import MAX_METADATA_BYTES, HttpClient


class RestClient(HttpClient):
    """Client for the REST port of TensorFlow Serving; arguments as for `ModelClient`."""

    api, port = "TensorFlow Serving's REST API", "REST port (8501 by default)"

    def output_shapes(self, signature):
        """Read the shapes of a signature's outputs.

        Args:
            signature: name of the signature.

        Returns:
            Dict from output to shape; empty if there is no such signature.

        Raises:
            UserError: no server, no such model, or an invalid response.
        """
        response = self._request(self._path("/metadata"), None, MAX_METADATA_BYTES)
        try:
            signatures = response["metadata"]["signature_def"]["signature_def"]
            outputs = signatures[signature]["outputs"] if signature in signatures else {}
            return {
                # 64-bit integers are strings in the JSON of protobuf.
                name: tuple(int(dim["size"]) for dim in output["tensor_shape"]["dim"])
                for name, output in outputs.items()
            }
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise self._invalid_response() from error

    def predict(self, signature, inputs, shapes):
        """Run a signature for one patient.

        Args:
            signature: name of the signature.
            inputs: dict from input to bytes.
            shapes: dict from each output that is wanted to its shape without the batch
                axis.

        Returns:
            Dict from output to nested lists, without the batch axis. Nothing in them
            is checked.

        Raises:
            UserError: no server, an error of the model, or an invalid response.
        """
        instance = {n: {"b64": base64.b64encode(v).decode()} for n, v in inputs.items()}
        body = json.dumps({"signature_name": signature, "instances": [instance]}).encode()
        response = self._request(self._path(":predict"), body, self._answer_limit(shapes))
        try:
            (outputs,) = response["predictions"]
        except (LookupError, TypeError, ValueError) as error:
            raise self._invalid_response() from error
        # The only output of a signature comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {"ct_hu": outputs}
        return {name: outputs[name] for name in shapes if name in outputs}

    def _path(self, method):
        return f"/v1/models/{self._quoted_model()}{method}"
