"""Base of the HTTP clients: one exchange, its limits, and the lines of its errors."""

import http.client
import json
import math
import ssl
import urllib.parse

from xctrs_tf.errors import UserError
from xctrs_tf.garbage import gc_paused
from xctrs_tf.serving.client import ModelClient, Unavailable
from xctrs_tf.serving.http_connection import TooLarge, exchange

# Too many requests, bad gateway, unavailable: a repetition may help.
_BUSY = (429, 502, 503)
_OK, _REDIRECTS = 200, range(300, 400)
# The answer of a 128^3 model has up to 22 MB of JSON (docs/serving.md). Python needs up to 25
# bytes of memory for each byte of it.
MAX_ANSWER_BYTES = 2**25
MAX_METADATA_BYTES = 2**22
# Of an answer: names and brackets, and a number with its separators and line ends.
_BYTES, _BYTES_A_NUMBER = 2**20, 16


class HttpClient(ModelClient):
    """Client for an HTTP port of a model server; arguments as for `ModelClient`.

    A subclass has the attributes ``api`` (what the port is called in messages) and ``port``
    (its usual number), and may override `_parsed`.
    """

    api, port = None, None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._context = self._security.context()

    def _quoted_model(self):
        return urllib.parse.quote(self.model, safe="")

    def _answer_limit(self, shapes):
        """Return the largest number of bytes of an answer with outputs of these shapes."""
        numbers = sum(map(math.prod, shapes.values()))
        return min(MAX_ANSWER_BYTES, _BYTES + _BYTES_A_NUMBER * numbers)

    def _call(self, path, body, max_bytes, headers=None):
        """Exchange one request; see `http_connection.exchange` for the arguments.

        Returns:
            Result of `_parsed`.

        Raises:
            Unavailable: no connection, or a busy server.
            UserError: too slow, too much, an error of the server, or an invalid response.
        """
        try:
            response = exchange(
                self.address,
                path,
                body,
                timeout_s=self._retry.timeout_s,
                max_bytes=max_bytes,
                context=self._context,
                use_proxy=self._security.use_proxy,
                headers=headers,
            )
        except TimeoutError as error:
            raise self._too_slow() from error
        except TooLarge as error:
            raise UserError(
                f"--server={self.address}: answers with over {max_bytes / 1e6:.0f} MB; "
                f"is this a model server's {self.port}?"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise self._certificate_refused(error.verify_message) from error
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
        return self._content(response)

    def _content(self, response):
        """Return what a response of status 200 holds; raise the error that another one is."""
        status = response.status
        if status in _BUSY:
            raise Unavailable(f"status {status}")
        if status in _REDIRECTS:
            raise UserError(
                f"--server={self.address}: sends on to another address (status {status}), which "
                "is not followed; name the model server itself"
            )
        if status == _OK:
            try:
                return self._parsed(response)
            except (ValueError, RecursionError) as error:
                raise self._invalid_response() from error
        try:
            answer = parse_json(response.content)
        except (ValueError, RecursionError):
            answer = None
        message = answer.get("error") if isinstance(answer, dict) else None
        message = message if isinstance(message, str) else response.reason
        raise self._refused(message, f"status {status}")

    def _parsed(self, response):
        """Return the content of a good response; ValueError or RecursionError if it is none."""
        return parse_json(response.content)

    def _invalid_response(self):
        return UserError(
            f"--server={self.address}: does not answer as {self.api} does; is this its {self.port}?"
        )


def parse_json(content):
    """Parse JSON, perhaps of millions of lists.

    Args:
        content: bytes.

    Returns:
        JSON values.

    Raises:
        ValueError: no JSON.
        RecursionError: nested too deeply.
    """
    with gc_paused():
        return json.loads(content)
