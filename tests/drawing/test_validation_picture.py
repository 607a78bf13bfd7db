"""The picture of a validation patient."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from xctrs_tf.drawing import validation_picture as module
from xctrs_tf.drawing.panels import draw_scale
from xctrs_tf.drawing.validation_picture import validation_picture
from xctrs_tf.style import VERTEBRA_COLORS
from xctrs_tf.training.validation import ValidatedPatient

SIZE = 32


@pytest.fixture
def patient():
    labels = np.zeros((SIZE,) * 3, np.uint8)
    for label in range(1, 8):
        labels[10:22, 10:22, 31 - 4 * label : 34 - 4 * label] = label
    ct = np.where(labels, 0.8, 0.4).astype(np.float32)
    films = {view: ct.mean(axis) for view, axis in (("ap", 1), ("la", 0))}
    return ValidatedPatient("p7", films, ct, labels, ct, labels, 4.0, True, 23.456, 0.5)


def has_color(picture, color):
    return bool((np.abs(picture - 255 * np.array(color)).max(axis=-1) < 12).any())


def rows_of(picture):
    """Return the two rows of pictures, without headings and the legend."""
    return picture[80:290], picture[302:512]


def test_truth_and_prediction_are_outlined_in_the_colours_of_the_vertebrae(patient):
    picture = validation_picture(patient, 1500)
    assert (picture.shape, picture.dtype) == ((564, 900, 3), np.uint8)
    for row in rows_of(picture):
        assert all(has_color(row, color) for color in VERTEBRA_COLORS)
    missed = dataclasses.replace(patient, labels_pred=np.where(patient.labels_pred == 7, 0, 2))
    truth, prediction = rows_of(validation_picture(missed, 1500))
    np.testing.assert_array_equal(truth, rows_of(picture)[0])
    assert not has_color(prediction, VERTEBRA_COLORS[6])


def test_the_overlap_has_the_name_that_the_labels_give_it(patient, monkeypatch):
    texts = []
    monkeypatch.setattr(Figure, "text", lambda *args, **style: texts.append(args[3]))
    validation_picture(dataclasses.replace(patient, dice_name="model-made Dice"), 1)
    assert any("mean model-made Dice 0.500" in text for text in texts)


def test_without_a_segmentation_network_only_the_truth_is_outlined(patient):
    truth, prediction = rows_of(
        validation_picture(dataclasses.replace(patient, labels_pred=None), 1)
    )
    assert has_color(truth, VERTEBRA_COLORS[3])
    assert not any(has_color(prediction, color) for color in VERTEBRA_COLORS)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["Validation patient p7, step 20", "PSNR 23.46 dB     mean Dice 0.500"]),
        ({"psnr": math.nan, "dice": math.nan}, ["Validation patient p7, step 20", ""]),
    ],
)
def test_captions(patient, monkeypatch, changes, expected):
    figures = []
    monkeypatch.setattr(
        module, "Figure", lambda **options: figures.append(Figure(**options)) or figures[0]
    )
    changed = dataclasses.replace(patient, **changes)
    validation_picture(changed, 20)
    texts = [text.get_text() for text in figures[0].texts]
    assert texts[:2] == expected and texts[-7:] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]
    names = [axis.get_ylabel() for axis in figures[0].axes if axis.get_ylabel()]
    assert names == ["truth", "reconstruction"]


def test_a_run_that_only_segments_says_so(patient, monkeypatch):
    figures = []
    monkeypatch.setattr(
        module, "Figure", lambda **options: figures.append(Figure(**options)) or figures[0]
    )
    validation_picture(dataclasses.replace(patient, reconstructs=False, psnr=math.nan), 20)
    assert [axis.get_ylabel() for axis in figures[0].axes if axis.get_ylabel()][1] == "segmentation"


def test_the_scale_bar_is_50_mm_and_absent_where_it_does_not_fit():
    axis = Figure().add_subplot()
    axis.imshow(np.zeros((SIZE, SIZE)))
    draw_scale(axis, 2.5)
    (bar,) = axis.lines
    assert np.diff(bar.get_xdata()) == pytest.approx(20)
    draw_scale(axis, 1.0)
    assert len(axis.lines) == 1


def test_training_imports_no_drawing_before_the_first_picture():
    # Keras itself imports matplotlib where it is installed.
    code = "import sys, xctrs_tf.training.loop; assert 'xctrs_tf.drawing.panels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
