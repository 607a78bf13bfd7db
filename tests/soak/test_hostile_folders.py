import pytest

from tests.data.hostile_folders import try_manifests, try_tables


@pytest.mark.soak
def test_damaged_manifests_are_read_or_refused_in_words(tmp_path):
    assert 3000 < try_manifests(tmp_path, seed=1, count=3000) < 6000


@pytest.mark.soak
def test_random_tables_are_read_or_refused_in_words(tmp_path):
    assert 1000 < try_tables(tmp_path, seed=1, count=5000) < 5000
