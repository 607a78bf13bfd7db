"""Hundreds of lies over REST, KServe v2 and gRPC: each is one line or a possible answer."""

import pytest

from tests.serving import kserve_lies, rest_lies
from tests.serving.lies import outcome
from xctrs_tf.serving.client import RetryPolicy
from xctrs_tf.serving.kserve_client import KserveClient
from xctrs_tf.serving.rest_client import RestClient

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("bounded_memory")]

NUMBER_RANDOM = 150


def lies_of(module):
    """Return all lies of a protocol by name."""
    randoms = {f"random {seed}": module.random_lie(seed) for seed in range(NUMBER_RANDOM)}
    return {**module.fixed_lies(), **randoms}


REST = lies_of(rest_lies)


@pytest.mark.parametrize("name", REST)
def test_a_lie_over_rest(name):
    with rest_lies.lying_server(REST[name]) as (address, _):
        outcome(lambda: RestClient(address, "xctrsnet", RetryPolicy(3.0, 0)))


KSERVE = lies_of(kserve_lies)


@pytest.mark.parametrize("name", KSERVE)
def test_a_lie_over_kserve(name):
    with kserve_lies.lying_server(KSERVE[name]) as (address, _):
        outcome(lambda: KserveClient(address, "xctrsnet", RetryPolicy(3.0, 0)))


def test_lies_over_grpc():
    pytest.importorskip("tensorflow_serving", reason="needs tensorflow-serving-api")
    from tests.serving import grpc_lies
    from xctrs_tf.serving.grpc_client import GrpcClient

    for lies in lies_of(grpc_lies).values():
        with grpc_lies.lying_grpc_server(lies) as address:
            outcome(lambda address=address: GrpcClient(address, "xctrsnet", RetryPolicy(3.0, 0)))
