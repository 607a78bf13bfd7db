"""A model server as its clients see it: away, busy, slow, or there."""

import dataclasses
import logging
import time

from xctrs_tf.errors import UserError

FIRST_DELAY_S = 0.5


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How long a client waits, and how often it asks again.

    Attributes:
        timeout_s: for one answer.
        retries: times that a server which is away or busy is asked again; the
            pause before it starts at half a second and doubles.
    """

    timeout_s: float = 120.0
    retries: int = 3


class Unavailable(Exception):
    """The server is away or busy: it may be asked again."""


class Server:
    """A model on a server; the protocol is a subclass's.

    Args:
        address: ``host:port``.
        model: its name on the server.
        patience: `RetryPolicy`.

    Attributes:
        address: as given.
        model: as given.
    """

    def __init__(self, address, model, patience=RetryPolicy()):
        self.address, self.model, self._patience = address, model, patience

    def _ask(self, *question):
        """What `_call` of a subclass gives; called again while the server is away or busy.

        Args:
            *question: arguments of `_call`, which raises `Unavailable`.

        Raises:
            UserError: it stayed away.
        """
        delay_s = FIRST_DELAY_S
        for left in range(self._patience.retries, -1, -1):
            try:
                return self._call(*question)
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
            f"--server={self.address}: no answer within {self._patience.timeout_s:g} s; "
            "give more --timeout_s"
        )
