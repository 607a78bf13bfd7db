"""Changed exports: each is refused in one line, or gives what the whole one does."""

import json
import shutil

import numpy as np
import pytest

from tests.export.mutations import mutate
from tests.export.runs import toy_run
from tests.films import block_films
from tests.quality.references import plain_reference
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.export.saved_model import export_run
from xctrs_tf.quality.verdict import assess
from xctrs_tf.reconstruction import load


def calibrated_export(folder):
    """Export a toy run with thresholds; return the version folder."""
    run = toy_run(folder / "run")
    (run.path / "quality.json").write_text(json.dumps(plain_reference()), encoding="utf-8")
    return export_run(run, folder / "models")


def check_mutation(exported, folder, seed):
    """Load a changed copy of an export; return the error's line, or None if it was taken.

    Whatever is taken has the right CT and labels, a possible voxel, and thresholds by which
    the quality checks can judge.
    """
    copy = shutil.copytree(exported, folder / "1")
    try:
        mutate(copy, seed)
        reconstructor = load(folder)
        size_mm = reconstructor.size * (reconstructor.metadata["spacing_mm"] or 2.5)
        films = block_films()
        result = reconstructor(**films, spacing_mm=size_mm / reconstructor.size)
        reference = reconstructor.metadata.get("quality")
        assess(films, result.ct_hu, result.segmentation, result.spacing_mm, reference)
    except UserError as error:
        return str(error)
    finally:
        shutil.rmtree(copy)
    assert 30 <= size_mm <= 1000
    whole = load(exported)(**films, spacing_mm=2.5)
    np.testing.assert_array_equal(result.ct_hu, whole.ct_hu)
    if result.segmentation is not None:
        np.testing.assert_array_equal(result.segmentation, whole.segmentation)
    return None


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return calibrated_export(tmp_path_factory.mktemp("export"))


@pytest.mark.parametrize("seed", range(6))
def test_a_changed_export_is_refused_or_right(exported, tmp_path, seed):
    line = check_mutation(exported, tmp_path, seed)
    assert line is None or (str(tmp_path) in line and len(line) < 1000)


@pytest.mark.soak
@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_hundreds_of_changed_exports_are_refused_or_right(exported, tmp_path, seed):
    line = check_mutation(exported, tmp_path, seed)
    assert line is None or (str(tmp_path) in line and len(one_line(line)) < 1000)
