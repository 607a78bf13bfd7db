"""Client of a model server: repeated requests and error messages of both protocols."""

import dataclasses
import logging
import time

from xctrs_tf.errors import UserError

FIRST_DELAY_S = 0.5


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Time limit of a request, and number of repetitions.

    Attributes:
        timeout_s: seconds to wait for one response.
        retries: repetitions of a request to a server that is unreachable or busy. The
            pause before the first is half a second and doubles each time.
    """

    timeout_s: float = 120.0
    retries: int = 3


class Unavailable(Exception):
    """Server unreachable or busy: the request may be repeated."""


class ModelClient:
    """Client for one model on a server; subclasses implement the protocol in `_call`.

    Args:
        address: ``host:port``.
        model: name of the model on the server.
        retry: `RetryPolicy`.

    Attributes:
        address: as given.
        model: as given.
    """

    def __init__(self, address, model, retry=RetryPolicy()):
        self.address, self.model, self._retry = address, model, retry

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
                if not left:
                    raise UserError(
                        f"--server={self.address}: no answer ({error}); is the model server up, "
                        "and is this its port?"
                    ) from error
                logging.warning("%s: %s; asked again in %.1f s", self.address, error, delay_s)
            time.sleep(delay_s)
            delay_s *= 2

    def _too_slow(self):
        return UserError(
            f"--server={self.address}: no answer within {self._retry.timeout_s:g} s; "
            "give more --timeout_s"
        )
