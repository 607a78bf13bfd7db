import keras
import numpy as np
from matplotlib.image import imread

from tests.evaluation.patients import SIZE, make_case
from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.evaluation.figures.chart_figures import curves_figure, method_color, vertebrae_figure
from xctrs_tf.evaluation.figures.decomposition_figure import decomposition_figure, view_features
from xctrs_tf.evaluation.figures.method_figures import (
    PatientPredictions,
    reconstructions_figure,
    surfaces_figure,
)
from xctrs_tf.evaluation.predictions import Prediction
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.models import SpaDRNet
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, REFERENCE_ROW, TABLE_ROWS


def patient(name):
    case = make_case(name)
    right = Prediction(case.ct, case.segmentation)
    nothing = Prediction(np.full_like(case.ct, -1000), np.zeros_like(case.segmentation))
    return PatientPredictions(case, {"right": right, "nothing": nothing}, {"right": "30.0 dB"})


def panels(image, columns, rows):
    """Return the colour at the centre of each panel of a page of one patient."""
    width = image.shape[1]
    xs = ((0.3 + 1.45 * (np.arange(columns) + 0.5)) / (0.35 + 1.45 * columns) * width).astype(int)
    ys = ((0.72 + 1.45 * (np.arange(rows) + 0.5)) * 120).astype(int)
    return image[..., :3][np.ix_(ys, xs)]


def test_reconstructions_of_all_methods_beside_the_truth(tmp_path):
    reconstructions_figure(tmp_path / "one.png", [patient("p1")])
    one = imread(tmp_path / "one.png")
    middles = panels(one, 3, 3)
    assert np.allclose(middles[:, 0], middles[:, 1])
    # A method that predicts air is black where the truth has bone.
    assert middles[0, 0].mean() > 0.3 and middles[:, 2].max() < 0.05
    reconstructions_figure(tmp_path / "two.png", [patient("p1"), patient("p2")])
    two = imread(tmp_path / "two.png")
    assert two.shape[1] == one.shape[1] and two.shape[0] > 1.8 * one.shape[0]


def test_surfaces_of_all_methods_beside_the_truth(tmp_path):
    surfaces_figure(tmp_path / "page.png", [patient("p1")])
    middles = panels(imread(tmp_path / "page.png"), 3, 2)
    assert np.allclose(middles[:, 0], middles[:, 1])
    assert (np.ptp(middles[:, 0], axis=-1) > 0.1).all()
    assert (middles[:, 2] > 0.98).all()


def test_features_in_16_bits_can_be_drawn():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = SpaDRNet(SIZE, width=0.0625)
    finally:
        keras.config.set_dtype_policy(policy)
    films = dict.fromkeys(("ap", "la"), np.ones((SIZE, SIZE, 1), np.float32))
    for levels in view_features(network, films).values():
        assert [level.shape for level in levels] == [(SIZE // each,) * 3 for each in (8, 4, 2, 1)]
        assert {level.dtype for level in levels} == {np.dtype("float32")}


def test_levels_of_the_decomposition(tmp_path):
    case = make_case()
    features = {
        view: [np.random.default_rng(0).random((SIZE >> k,) * 3) for k in (3, 2, 1, 0)]
        for view in ("ap", "la")
    }
    decomposition_figure(tmp_path / "page.png", case, features, np.zeros((SIZE,) * 3))
    image = imread(tmp_path / "page.png")
    assert image.shape[1] > 1.5 * image.shape[0]


def test_charts_of_vertebrae_and_training(tmp_path):
    lines = [case_line("a", dice=0.5), case_line("b", dice=0.7)]
    write_run(tmp_path / "runs", REFERENCE_ROW, lines)
    write_run(
        tmp_path / "runs", "table1-vgg", [case_line("a", dice=None), case_line("b", dice=None)]
    )
    results = collect_runs(tmp_path / "runs")
    vertebrae_figure(tmp_path / "boxes.png", results)
    history = [
        {"step": step, "kind": "validation", "psnr": 20.0 + step, "dice_hard": 0.1 * step}
        for step in (1, 2)
    ]
    curves_figure(tmp_path / "curves.png", {REFERENCE_ROW: [history, history], "table1-vgg": [[]]})
    colour = np.array([0xB3, 0x20, 0x2A]) / 255
    # The legend alone has fewer pixels of this colour.
    for name, pixels in (("boxes", 3000), ("curves", 400)):
        image = imread(tmp_path / f"{name}.png")[..., :3]
        assert (np.abs(image - colour).max(-1) < 0.02).sum() > pixels


def test_methods_have_colours_of_their_own():
    assert len({method_color(row) for row in TABLE_ROWS}) == len(TABLE_ROWS)
    assert method_color(MEAN_VOLUME_ROW) != method_color(REFERENCE_ROW)
