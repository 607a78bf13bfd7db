"""Client for TensorFlow Serving's REST API, without TensorFlow and gRPC."""

import base64
import gc
import http.client
import json
import math
import ssl
import urllib.parse

from xctrs_tf.errors import UserError
from xctrs_tf.serving.client import ModelClient, Unavailable
from xctrs_tf.serving.http_connection import TooLarge, exchange

# Too many requests, bad gateway, unavailable: a repetition may help.
_BUSY = (429, 502, 503)
_OK, _REDIRECTS = 200, range(300, 400)
# The answer of a 128^3 model has up to 22 MB (docs/serving.md). Python needs up to 25
# bytes of memory for each byte of it.
MAX_ANSWER_BYTES = 2**25
MAX_METADATA_BYTES = 2**22
# Of an answer: names and brackets, and a number with its separators and line ends.
_BYTES, _BYTES_A_NUMBER = 2**20, 16


class RestClient(ModelClient):
    """Client for the REST port of a model server; arguments as for `ModelClient`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._context = self._security.context()

    def output_shapes(self, signature):
        """Read the shapes of a signature's outputs.

        Args:
            signature: name of the signature.

        Returns:
            Dict from output to shape; empty if there is no such signature.

        Raises:
            UserError: no server, no such model, or an invalid response.
        """
        response = self._request("/metadata", None, MAX_METADATA_BYTES)
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
        body = {"signature_name": signature, "instances": [instance]}
        numbers = sum(map(math.prod, shapes.values()))
        max_bytes = min(MAX_ANSWER_BYTES, _BYTES + _BYTES_A_NUMBER * numbers)
        response = self._request(":predict", body, max_bytes)
        try:
            (outputs,) = response["predictions"]
        except (LookupError, TypeError, ValueError) as error:
            raise self._invalid_response() from error
        # The only output of a signature comes without its name.
        outputs = outputs if isinstance(outputs, dict) else {"ct_hu": outputs}
        return {name: outputs[name] for name in shapes if name in outputs}

    def _call(self, path, body, max_bytes):
        data = None if body is None else json.dumps(body).encode()
        try:
            status, reason, content = exchange(
                self.address,
                f"/v1/models/{urllib.parse.quote(self.model, safe='')}{path}",
                data,
                timeout_s=self._retry.timeout_s,
                max_bytes=max_bytes,
                context=self._context,
                use_proxy=self._security.use_proxy,
            )
        except TimeoutError as error:
            raise self._too_slow() from error
        except TooLarge as error:
            raise UserError(
                f"--server={self.address}: answers with over {max_bytes / 1e6:.0f} MB; "
                "is this a model server's REST port (8501 by default)?"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise UserError(
                f"--server={self.address}: its certificate is refused ({error.verify_message}); "
                "name the authority's file with --ca_file"
            ) from error
        except ssl.SSLError as error:
            raise UserError(
                f"--server={self.address}: no TLS connection ({error.reason}); does it speak TLS "
                "on this port?"
            ) from error
        except http.client.RemoteDisconnected as error:
            raise Unavailable(error) from error
        # Before OSError: some are both.
        except (http.client.HTTPException, ValueError) as error:
            raise self._invalid_response() from error
        except OSError as error:
            raise Unavailable(error.strerror or error) from error
        return self._content(status, reason, content)

    def _content(self, status, reason, content):
        """Return the JSON of a response of status 200; raise the error that another one is."""
        if status in _BUSY:
            raise Unavailable(f"status {status}")
        if status in _REDIRECTS:
            raise UserError(
                f"--server={self.address}: sends on to another address (status {status}), which "
                "is not followed; name the model server itself"
            )
        try:
            answer = _parsed(content)
        except (ValueError, RecursionError) as error:
            if status == _OK:
                raise self._invalid_response() from error
            answer = None
        if status != _OK:
            message = answer.get("error") if isinstance(answer, dict) else None
            raise self._refused(message if isinstance(message, str) else reason, f"status {status}")
        return answer

    def _invalid_response(self):
        return UserError(
            f"--server={self.address}: does not answer as TensorFlow Serving's REST API does; "
            "is this its REST port (8501 by default)?"
        )


def _parsed(content):
    """Parse JSON; the garbage collector would walk over millions of lists again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return json.loads(content)
    finally:
        if enabled:
            gc.enable()
