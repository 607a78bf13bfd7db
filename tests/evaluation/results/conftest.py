import pytest

from tests.evaluation.run_folders import LINES, write_run
from xctrs_tf.models.catalogue import REFERENCE_ROW


@pytest.fixture
def runs(tmp_path):
    """Folder of runs: X-CTRSNet on two patients."""
    write_run(tmp_path / "runs", REFERENCE_ROW, LINES)
    return tmp_path / "runs"
