"""Three hundred changed exports: each is refused in one line, or gives what the whole one does."""

import pytest

from tests.export.test_mutated_exports import calibrated_export, check_mutation
from xctrs_tf.errors import one_line

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("bounded_memory")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return calibrated_export(tmp_path_factory.mktemp("export"))


@pytest.mark.parametrize("seed", range(1000, 1300))
def test_a_changed_export_is_refused_or_right(exported, tmp_path, seed):
    line = check_mutation(exported, tmp_path, seed)
    assert line is None or (str(tmp_path) in line and len(one_line(line)) < 1000)
