import concurrent.futures.process
import os
import socket
import sys
import types

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.parallel import parallel_map


def square(number):
    return number * number, os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_items(count):
    with parallel_map(count) as mapper:
        results = list(mapper(square, range(20)))
    assert [result for result, _ in results] == [number**2 for number in range(20)]
    assert (os.getpid() in {process for _, process in results}) == (count == 1)


def test_processes_do_not_run_ahead_of_who_takes_the_results():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    with parallel_map(2) as mapper:
        results = mapper(square, items())
        assert next(results)[0] == 0
        assert taken == [0, 1, 2, 3]
        assert [result for result, _ in results] == [number**2 for number in range(1, 20)]


def test_one_process_warms_up_itself():
    calls = []
    with parallel_map(1, warm_up=lambda: calls.append(1)):
        assert calls == [1]


def test_a_worker_that_is_ended_from_outside_is_one_line():
    broken = concurrent.futures.process.BrokenProcessPool("terminated abruptly")
    with pytest.raises(UserError, match="a worker process was ended from outside"), parallel_map(2):
        raise broken


class FakeRay(types.ModuleType):
    """Stand-in for the module `ray` that runs functions in this process."""

    def __init__(self, reachable=True):
        super().__init__("ray")
        self.reachable, self.under_way, self.most = reachable, 0, 0

    def init(self, address, **_):
        if not self.reachable:
            raise ConnectionError("nobody\nanswers")

    def cluster_resources(self):
        return {"CPU": 3.0}

    def remote(self, num_cpus, num_gpus):
        def decorate(function):
            # Ray refuses anything else.
            assert isinstance(function, types.FunctionType)
            return types.SimpleNamespace(remote=lambda item: self._start(function, item))

        return decorate

    def _start(self, function, item):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return function, item

    def get(self, call):
        self.under_way -= 1
        function, item = call
        return function(item)


def test_ray_keeps_the_order_and_does_not_start_all_at_once(monkeypatch):
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    with parallel_map(1, "auto") as mapper:
        results = [result for result, _ in mapper(square, range(20))]
    assert results == [number**2 for number in range(20)]
    assert ray.most == 6


def check_refused(message, *arguments):
    with pytest.raises(UserError, match=message), parallel_map(*arguments):
        pass


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    check_refused(r"--ray_address: needs Ray; pip install xctrs-tf\[ray\]", 1, "auto")


def test_without_a_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(reachable=False))
    check_refused("--ray_address=auto: no cluster there", 1, "auto")


def test_an_address_without_a_listener_is_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        check_refused(f"--ray_address={address}: no cluster there", 1, address)
        taken.listen()
        with parallel_map(1, address) as mapper:
            assert [result for result, _ in mapper(square, [3])] == [9]
