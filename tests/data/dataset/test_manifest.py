from tests.data.hostile_folders import try_manifests, try_tables


def test_damaged_manifests_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_manifests(tmp_path, seed=0, count=40) < 80


def test_random_tables_are_read_or_refused_in_words(tmp_path):
    assert 0 < try_tables(tmp_path, seed=0, count=60) < 60
