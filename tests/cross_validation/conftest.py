import pytest

from tests.cross_validation.fake_runs import DATA_SHA256, DONE, fake_run
from tests.cross_validation.handovers import DSN, HERE, VGG
from xctrs_tf.cross_validation import takeover
from xctrs_tf.training.trained_data import describe_data


@pytest.fixture
def data_here(monkeypatch):
    """Let ``HERE`` be the data of the fake runs."""

    def describe(data, fold):
        return [{"data_sha256": DATA_SHA256}] if data == HERE else describe_data(data, fold)

    monkeypatch.setattr(takeover, "describe_data", describe)


@pytest.fixture
def there(tmp_path):
    """Folder of jobs: one done, one begun that builds on it."""
    root = tmp_path / "there" / "runs"
    fake_run(root, VGG, [30, 60], DONE, dice_weight=0.0, rsc_weight=0.0)
    fake_run(root, DSN, [10, 20], reconstruction_run=str(root / VGG), rsc_weight=0.0)
    return root
