"""Client for TensorFlow Serving's REST API, without TensorFlow and gRPC."""

import base64
import http.client
import json
import urllib.error
import urllib.request

from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import ModelClient, Unavailable

# Too many requests, bad gateway, unavailable: a repetition may help.
_BUSY = (429, 502, 503)


class RestClient(ModelClient):
    """Client for the REST port of a model server; arguments as for `ModelClient`."""

    def output_shapes(self, signature):
        """Read the shapes of a signature's outputs.

        Args:
            signature: name of the signature.

        Returns:
            Dict from output to shape; empty if there is no such signature.

        Raises:
            UserError: no server, no such model, or an invalid response.
        """
        response = self._request("/metadata")
        try:
            signatures = response["metadata"]["signature_def"]["signature_def"]
            outputs = signatures[signature]["outputs"] if signature in signatures else {}
            return {
                # 64-bit integers are strings in the JSON of protobuf.
                name: tuple(int(dim["size"]) for dim in output["tensor_shape"]["dim"])
                for name, output in outputs.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise self._invalid_response() from error

    def predict(self, signature, inputs):
        """Run a signature for one patient.

        Args:
            signature: name of the signature.
            inputs: dict from input to bytes.

        Returns:
            Dict from output to nested lists, without the batch axis.

        Raises:
            UserError: no server, an error of the model, or an invalid response.
        """
        instance = {n: {"b64": base64.b64encode(v).decode()} for n, v in inputs.items()}
        response = self._request(":predict", {"signature_name": signature, "instances": [instance]})
        try:
            (outputs,) = response["predictions"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._invalid_response() from error
        # The only output of a signature comes without its name.
        return outputs if isinstance(outputs, dict) else {"ct_hu": outputs}

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"http://{self.address}/v1/models/{self.model}{path}"
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._retry.timeout_s) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in _BUSY:
                raise Unavailable(f"status {error.code}") from error
            raise UserError(
                f"--server={self.address}, {self.model}: {_message(error)} (status {error.code})"
            ) from error
        except TimeoutError as error:
            raise self._too_slow() from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._too_slow() from error
            raise Unavailable(error.reason) from error
        except ConnectionError as error:
            raise Unavailable(error) from error
        except (http.client.HTTPException, ValueError) as error:
            raise self._invalid_response() from error

    def _invalid_response(self):
        return UserError(
            f"--server={self.address}: does not answer as TensorFlow Serving's REST API does; "
            "is this its REST port (8501 by default)?"
        )


def _message(error):
    """Return the server's error message, in one line."""
    try:
        return " ".join(str(json.load(error)["error"]).split())
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason
