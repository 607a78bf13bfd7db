"""Parallel map: one function over many items, in one process, in several, or on Ray."""

import collections
import concurrent.futures
import concurrent.futures.process
import contextlib
import functools
import multiprocessing
import os
import signal
import socket
import threading

from xctrs_tf.errors import UserError


@contextlib.contextmanager
def parallel_map(processes, ray_address=None, warm_up=None, num_gpus=0):
    """Give a ``map`` that spreads its calls over processes.

    It takes a function of one argument and the items, and gives the results in
    the order of the items. With several processes, two calls for each are under way or wait
    for their turn: more results would fill the memory. Calls that have not started when the
    block ends are cancelled.

    Args:
        processes: processes on this machine; with 1 everything runs in this one.
        ray_address: a Ray cluster to use in their place, such as ``auto``.
        warm_up: called once in every process on this machine that does the work.
        num_gpus: GPUs of the cluster that one call needs.

    Yields:
        The ``map``.

    Raises:
        UserError: the cluster cannot be reached, or a process was ended from outside.
    """
    if ray_address is not None:
        yield _ray_map(ray_address, num_gpus)
    elif processes > 1:
        executor = concurrent.futures.ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _start_worker, (warm_up,)
        )
        try:
            yield functools.partial(
                _ordered,
                lambda function: functools.partial(executor.submit, function),
                concurrent.futures.Future.result,
                2 * processes,
            )
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UserError(
                "a worker process was ended from outside, perhaps for lack of memory; run the same "
                "command again with fewer --workers"
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)
    else:
        if warm_up:
            warm_up()
        yield map


def _start_worker(warm_up):
    """Leave Ctrl-C to the parent process, and end when it does."""
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
            # Without a listener, Ray itself would keep trying for many minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--ray_address={address}: no cluster there ({error})") from error

    def begin(function):
        # ray.remote accepts a plain function, but not a functools.partial.
        return ray.remote(num_cpus=1, num_gpus=num_gpus)(lambda item: function(item)).remote

    processors = max(1, int(ray.cluster_resources().get("CPU", 1)))
    return functools.partial(_ordered, begin, ray.get, 2 * processors)


def _ordered(begin, result, limit, function, items):
    """Yield the results of calls in the order of the items, with so many calls begun at most.

    Args:
        begin: takes the function, and returns one that starts its call with an item.
        result: waits for the result of a call that was started.
        limit: most calls that are begun and not yet yielded.
        function: of one argument.
        items: iterable.

    Yields:
        The result for each item.
    """
    start, pending = begin(function), collections.deque()
    for item in items:
        pending.append(start(item))
        if len(pending) >= limit:
            yield result(pending.popleft())
    while pending:
        yield result(pending.popleft())
