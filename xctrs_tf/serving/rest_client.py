"""TensorFlow Serving's REST API, as far as it is needed: no TensorFlow, no gRPC."""

import base64
import http.client
import json
import urllib.error
import urllib.request

from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import Server, Unavailable

# Too many requests, bad gateway, unavailable: asking again may help.
_BUSY = (429, 502, 503)


class RestClient(Server):
    """A model on a server's REST port; arguments and attributes are those of `Server`."""

    def output_shapes(self, signature):
        """Dict from output of a signature to its shape; empty if there is no such signature.

        Raises:
            UserError: no server, no such model, or nonsense.
        """
        answer = self._ask("/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            outputs = signatures[signature]["outputs"] if signature in signatures else {}
            return {
                # Whole numbers of 64 bits are strings in protobuf's JSON.
                name: tuple(int(dim["size"]) for dim in output["tensor_shape"]["dim"])
                for name, output in outputs.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense() from error

    def predict(self, signature, inputs):
        """Ask for one patient.

        Args:
            signature: its name.
            inputs: dict from input to bytes.

        Returns:
            Dict from output to nested lists, without the batch.

        Raises:
            UserError: no server, an error of the model's, or nonsense.
        """
        instance = {n: {"b64": base64.b64encode(v).decode()} for n, v in inputs.items()}
        answer = self._ask(":predict", {"signature_name": signature, "instances": [instance]})
        try:
            (outputs,) = answer["predictions"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense() from error
        # A signature's only output comes without its name.
        return outputs if isinstance(outputs, dict) else {"ct_hu": outputs}

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"http://{self.address}/v1/models/{self.model}{path}"
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._patience.timeout_s) as response:
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
            raise self._nonsense() from error

    def _nonsense(self):
        return UserError(
            f"--server={self.address}: does not answer as TensorFlow Serving's REST API does; "
            "is this its REST port (8501 by default)?"
        )


def _message(error):
    """What the model server says of an error, in one line."""
    try:
        return " ".join(str(json.load(error)["error"]).split())
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason
