"""Fixtures for runs of toy networks."""

import pytest

from tests.training.toys import toy_dataset, toy_networks
from xctrs_tf.training import loop
from xctrs_tf.training import run as runs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data folder of random patients."""
    return toy_dataset(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture
def toy_runs(monkeypatch):
    """Make training and loading of runs build toy networks."""
    for module in (loop, runs):
        monkeypatch.setattr(module, "build_networks", toy_networks)
