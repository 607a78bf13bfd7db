"""The series of slices that these tests change."""

import pytest

from tests.data.dicoms import write_series
from tests.data.volumes.dicom_slices.slices import ARRAY, ORIGIN_MM, SPACING_MM
from xctrs_tf.data.volumes.volume import Volume


@pytest.fixture
def series(tmp_path):
    """A folder with a good series of five slices."""
    write_series(tmp_path / "ct", Volume(ARRAY, SPACING_MM, ORIGIN_MM))
    return tmp_path / "ct"
