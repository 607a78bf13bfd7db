import os
import socket
import sys
import types

import pytest

from xctrs_tf.errors import UserError
from xctrs_tf.parallel import Workers


def square(number):
    return number * number, os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_items(count):
    with Workers(count) as workers:
        results = list(workers.map(square, range(20)))
    assert [result for result, _ in results] == [number**2 for number in range(20)]
    assert (os.getpid() in {process for _, process in results}) == (count == 1)


def test_one_process_warms_up_itself():
    calls = []
    Workers(1, warm_up=lambda: calls.append(1))
    assert calls == [1]


class FakeRay(types.ModuleType):
    """The five names of Ray that are used, in this process."""

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
            # The real one refuses anything else.
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
    with Workers(1, "auto") as workers:
        results = [result for result, _ in workers.map(square, range(20))]
    assert results == [number**2 for number in range(20)]
    assert ray.most == 6


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--ray_address: needs Ray; pip install xctrs-tf\[ray\]"):
        Workers(1, "auto")


def test_without_a_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay(reachable=False))
    with pytest.raises(UserError, match="--ray_address=auto: no cluster there"):
        Workers(1, "auto")


def test_an_address_where_nobody_listens_is_told_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"--ray_address={address}: no cluster there"):
            Workers(1, address)
        taken.listen()
        with Workers(1, address) as workers:
            assert [result for result, _ in workers.map(square, [3])] == [9]
