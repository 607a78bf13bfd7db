import numpy as np
import pytest

from xctrs_tf.metrics import dice_per_class


def volume(**boxes):
    labels = np.zeros((4, 5, 6), "uint8")
    for name, box in boxes.items():
        labels[box] = int(name[1:])
    return labels


def test_by_hand():
    y_true = volume(C1=np.s_[0, 0, 0:4], C2=np.s_[1, 0:5, 0:2], C3=np.s_[2, 2, 2])
    y_pred = volume(C1=np.s_[0, 0, 1:6], C2=np.s_[1, 0:5, 0:2], C3=np.s_[2, 2, 3])
    expected = [2 * 3 / (4 + 5), 1.0, 0.0]
    assert dice_per_class(y_true, y_pred, 4) == pytest.approx(expected)


def test_confused_classes_do_not_count_as_overlap():
    y_true = volume(C1=np.s_[0, 0:2, 0])
    y_pred = volume(C2=np.s_[0, 0, 0], C1=np.s_[0, 1, 0])
    assert dice_per_class(y_true, y_pred, 3)[0] == pytest.approx(2 / 3)


def test_present_but_not_predicted_is_zero():
    assert dice_per_class(volume(C1=np.s_[0]), volume(), 2).tolist() == [0.0]


@pytest.mark.parametrize("y_pred", [volume(), volume(C2=np.s_[3])])
def test_absent_from_the_truth_is_nan_predicted_or_not(y_pred):
    dice = dice_per_class(volume(C1=np.s_[0]), y_pred, 3)
    assert np.isnan(dice).tolist() == [False, True]


def test_empty_volumes_are_nan():
    assert np.isnan(dice_per_class(volume(), volume(), 8)).all()


def test_counts_past_the_range_of_the_labels():
    y_true = np.ones((64, 64, 64), "uint8")
    assert dice_per_class(y_true, y_true, 2).tolist() == [1.0]
