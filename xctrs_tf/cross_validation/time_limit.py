"""Time limit of a cross-validation, and what it has reached when the time is up."""

import time

from xctrs_tf.training.checkpoints import latest_step
from xctrs_tf.training.run_record import read_config

# Between asking a program to end and killing it: it finishes a step and writes a checkpoint.
_GRACE_S = 60.0
# Largest shares of the limit that are kept for this, and for what follows the jobs.
_GRACE_SHARE, _RESERVE_SHARE = 0.1, 0.5


class TimeUp(Exception):
    """End of a job before it is done; the same command goes on with it."""


class TimeLimit:
    """End of the time that a cross-validation may take.

    Args:
        minutes: from now.
        reserve: function that returns the seconds that are kept for what follows the jobs.
        clock: function that returns the seconds of a clock that only runs forward.
    """

    def __init__(self, minutes, reserve=lambda: 0.0, clock=time.monotonic):
        self.clock = clock
        self._seconds = 60.0 * minutes
        self._end = clock() + self._seconds
        self._reserve = reserve

    def first_part(self, share):
        """Return a `TimeLimit` that ends after a share of this one's whole time, from its start.

        Args:
            share: below 1.
        """
        part = TimeLimit(share * self._seconds / 60.0, clock=self.clock)
        part._end = self._end - (1 - share) * self._seconds
        return part

    def moments(self):
        """Return when a running program is asked to end, and when it is ended, by the clock."""
        kill = self._end - min(self._reserve(), _RESERVE_SHARE * self._seconds)
        return kill - min(_GRACE_S, _GRACE_SHARE * self._seconds), kill

    def is_up(self):
        """Tell whether no further program is to be started."""
        return self.clock() >= self.moments()[0]


def print_reached(jobs):
    """Print which jobs are done, how far the begun ones are, and how many are left.

    Args:
        jobs: list of `jobs.Job`.
    """
    states = {job: job.state() for job in jobs}
    steps = {job: latest_step(job.folder) for job in jobs if states[job] != "done"}
    begun = {job: step for job, step in steps.items() if step is not None}
    print(
        f"time is up: {len(jobs) - len(steps)} of {len(jobs)} jobs are done, {len(begun)} begun, "
        f"{len(steps) - len(begun)} left; the same command goes on"
    )
    for job, step in begun.items():
        print(f"begun: {job}, step {step} of {read_config(job.folder).steps}")
