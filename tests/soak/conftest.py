"""Limits on what a soak test may use."""

import resource

import pytest

GIGABYTES = 2


@pytest.fixture
def bounded_memory():
    """Fail if the process needs 2 GB more than before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # In kilobytes on Linux.
    assert after - before < GIGABYTES * 2**20
