"""One function over many items: in this process, in several, or on a Ray cluster."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import socket
import threading

from xctrs_tf.errors import UserError


class Workers:
    """A context in which `map` spreads calls over processes.

    Args:
        count: processes here; with 1 everything runs in this one.
        ray_address: a Ray cluster to use in their place, such as ``auto``.
        warm_up: called once in every process here that does the work.
        num_gpus: GPUs of the cluster that one call needs.

    Raises:
        UserError: the cluster cannot be reached.
    """

    def __init__(self, count, ray_address=None, warm_up=None, num_gpus=0):
        self._executor = None
        if ray_address is not None:
            self._map = _ray_map(ray_address, num_gpus)
        elif count > 1:
            self._executor = concurrent.futures.ProcessPoolExecutor(
                count, multiprocessing.get_context("spawn"), _start_worker, (warm_up,)
            )
            self._map = self._executor.map
        else:
            self._map = map
            if warm_up:
                warm_up()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._executor:
            self._executor.shutdown(cancel_futures=True)

    def map(self, function, items):
        """Results of a function of one argument, in the order of the items."""
        return self._map(function, items)


def _start_worker(warm_up):
    """A worker leaves ctrl-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow():
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    if warm_up:
        warm_up()


def _ray_map(address, num_gpus):
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray_address: needs Ray; pip install xctrs-tf[ray]") from error
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():
            # Ray itself goes on trying for many minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--ray_address={address}: no cluster there ({error})") from error

    def ordered(function, items):
        """So many calls under way as the cluster has processors; results wait their turn."""
        # Ray takes functions alone, and no partial of one.
        remote = ray.remote(num_cpus=1, num_gpus=num_gpus)(lambda item: function(item))
        limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        pending = collections.deque()
        for item in items:
            pending.append(remote.remote(item))
            if len(pending) >= limit:
                yield ray.get(pending.popleft())
        while pending:
            yield ray.get(pending.popleft())

    return ordered
