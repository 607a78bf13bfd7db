import numpy as np
import pytest
from matplotlib.image import imread

from tests.evaluation.patients import make_case
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.figures.case_figure import case_figure
from xctrs_tf.evaluation.patient import evaluate_case


@pytest.mark.parametrize("segmented", [True, False])
def test_page_is_drawn_and_small(tmp_path, segmented):
    case = make_case()
    ct = normalise_hu(case.ct)
    ct_pred = np.clip(ct + np.random.default_rng(0).normal(0, 0.05, ct.shape), 0, 1)
    labels_pred = np.roll(case.segmentation, 1, axis=0) if segmented else None
    metrics = evaluate_case(case, ct_pred, labels_pred)
    path = tmp_path / "case.png"
    case_figure(path, case, ct_pred, labels_pred, metrics, "pseudo-label Dice")
    image = imread(path)
    assert path.stat().st_size < 700_000
    assert [file.name for file in tmp_path.iterdir()] == ["case.png"]
    assert image.shape[1] > 2 * image.shape[0]
    # Colour (outlines and surfaces) is in the upper and, if segmented, the lower row.
    saturation = np.ptp(image[..., :3], axis=-1) > 0.3
    height = image.shape[0]
    upper = saturation[int(0.16 * height) : int(0.51 * height)]
    lower = saturation[int(0.54 * height) : int(0.89 * height)]
    assert upper.sum() > 1000
    assert (lower.sum() > 1000) == segmented


def test_patient_without_labels_can_be_drawn(tmp_path):
    case = make_case()
    case.segmentation[:] = 0
    ct = normalise_hu(case.ct)
    metrics = evaluate_case(case, ct, case.segmentation)
    case_figure(tmp_path / "case.png", case, ct, None, metrics)
    assert (tmp_path / "case.png").stat().st_size > 0
