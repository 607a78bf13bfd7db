import numpy as np
import pytest

from xctrs_tf.losses import mean_absolute_error


def test_is_the_mean_over_patients_and_voxels():
    y_true = np.zeros((2, 2, 3, 4, 1), "float32")
    y_pred = y_true.copy()
    y_pred[0] = 0.5
    y_pred[1, 0, 0, 0] = -0.24  # one of 24 voxels
    assert float(mean_absolute_error(y_true, y_pred)) == pytest.approx((0.5 + 0.24 / 24) / 2)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_is_computed_in_float32(dtype):
    # In float16 the sum of so many halves overflows.
    y_true = np.zeros((1, 64, 64, 40, 1), dtype)
    loss = np.asarray(mean_absolute_error(y_true, y_true + np.asarray(0.5, dtype)))
    assert loss.dtype == "float32"
    assert loss == 0.5
