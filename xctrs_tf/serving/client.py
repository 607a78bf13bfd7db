"""Client of a model server: repeated requests and error messages of all protocols."""

import dataclasses
import logging
import ssl
import time

from xctrs_tf.errors import UserError, one_line

FIRST_DELAY_S = 0.5
# Characters of a server's message that are shown.
MESSAGE_LENGTH = 300


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Time limit of a request, and number of repetitions.

    Attributes:
        timeout_s: seconds from the start of a request to the last byte of the response.
        retries: repetitions of a request to a server that is unreachable or busy. The
            pause before the first is half a second and doubles each time.
    """

    timeout_s: float = 120.0
    retries: int = 3


@dataclasses.dataclass(frozen=True)
class Security:
    """Encryption, authorities and proxy of a connection.

    Attributes:
        tls: encrypt it, and check the server's certificate.
        ca_file: PEM file of the authorities that sign it; None takes the system's.
        use_proxy: go through the proxy that the environment names (``http_proxy``,
            ``https_proxy``, ``no_proxy``), which then sees the films.
    """

    tls: bool = False
    ca_file: str | None = None
    use_proxy: bool = False

    def context(self):
        """Return the `ssl.SSLContext`, or None without encryption.

        Raises:
            UserError: the authorities' file cannot be read or holds no certificate.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise UserError(f"--ca_file={self.ca_file}: no certificates in PEM format") from error
        except OSError as error:
            raise UserError(
                f"--ca_file={self.ca_file}: cannot be read ({error.strerror})"
            ) from error
        return context


class Unavailable(Exception):
    """Server unreachable or busy: the request may be repeated."""


class ModelClient:
    """Client for one model on a server; subclasses implement the protocol in `_call`.

    Args:
        address: ``host:port``.
        model: name of the model on the server.
        retry: `RetryPolicy`.
        security: `Security`.

    Attributes:
        address: as given.
        model: as given.

    Raises:
        UserError: an address or a name with characters that cannot be sent.
    """

    def __init__(self, address, model, retry=RetryPolicy(), security=Security()):
        for name, text in (("server", address), ("model_name", model)):
            # Bytes of the command line that are no UTF-8 cannot be sent.
            if not text or not text.isprintable():
                raise UserError(
                    f"--{name}={one_line(text, 100)!r}: no such name; write it in letters"
                )
        self.address, self.model, self._retry, self._security = address, model, retry, security

    def _request(self, *request):
        """Call `_call`, and repeat it while the server is unreachable or busy.

        Args:
            *request: arguments of `_call`, which may raise `Unavailable`.

        Returns:
            Result of `_call`.

        Raises:
            UserError: the server remained unreachable or busy.
        """
        delay_s = FIRST_DELAY_S
        for left in range(self._retry.retries, -1, -1):
            try:
                return self._call(*request)
            except Unavailable as error:
                reason = one_line(error, MESSAGE_LENGTH)
                if not left:
                    raise UserError(
                        f"--server={self.address}: no answer ({reason}); is the model server up, "
                        "and is this its port?"
                    ) from error
                logging.warning("%s: %s; asked again in %.1f s", self.address, reason, delay_s)
            time.sleep(delay_s)
            delay_s *= 2

    def _refused(self, message, status):
        text = one_line(message, MESSAGE_LENGTH)
        return UserError(f"--server={self.address}, {self.model}: {text} ({status})")

    def _certificate_refused(self, reason):
        return UserError(
            f"--server={self.address}: its certificate is refused "
            f"({one_line(reason, MESSAGE_LENGTH)}); name the authority's file with --ca_file"
        )

    def _too_slow(self):
        return UserError(
            f"--server={self.address}: no answer within {self._retry.timeout_s:g} s; "
            "give more --timeout_s"
        )
