import numpy as np
import pytest

from xctrs_tf.metrics import psnr, ssim_3d, ssim_planes
from xctrs_tf.metrics.image import GAUSSIAN_11, UNIFORM_7

SHAPE = (14, 17, 20)
SKIMAGE = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 1.0,
}


@pytest.fixture
def pair():
    generator = np.random.default_rng(1)
    y_true = generator.random(SHAPE).cumsum(axis=2) / SHAPE[2]
    return y_true, np.clip(y_true + generator.normal(0, 0.1, SHAPE), 0, 1)


def test_psnr_by_hand():
    y_true = np.zeros(SHAPE, "float32")
    assert psnr(y_true, y_true + np.float32(0.1)) == pytest.approx(20.0, abs=1e-5)
    assert psnr(y_true, y_true + 250.0, data_range=2500.0) == pytest.approx(20.0)
    one_voxel = y_true.copy()
    one_voxel[3, 5, 7] = 1.0
    assert psnr(y_true, one_voxel) == pytest.approx(10 * np.log10(14 * 17 * 20))


def test_psnr_of_equal_volumes_is_infinite():
    assert psnr(np.ones(SHAPE), np.ones(SHAPE)) == np.inf


def test_psnr_agrees_with_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    assert psnr(*pair) == pytest.approx(
        metrics.peak_signal_noise_ratio(*pair, data_range=1.0), abs=1e-9
    )


def test_ssim_of_constant_volumes_by_hand():
    # Without variance only the luminance term is left.
    first, second = np.full(SHAPE, 0.2), np.full(SHAPE, 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim_planes(first, second) == pytest.approx(expected)
    assert ssim_3d(first, second) == pytest.approx(expected)


def test_ssim_of_equal_volumes_is_one(pair):
    assert ssim_planes(pair[0], pair[0]) == pytest.approx(1.0)
    assert ssim_3d(pair[0], pair[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("window", "settings"), [(GAUSSIAN_11, SKIMAGE), (UNIFORM_7, {"data_range": 1.0})]
)
def test_ssim_planes_agrees_with_scikit_image(window, settings, pair):
    metrics = pytest.importorskip("skimage.metrics")
    y_true, y_pred = pair
    per_view = [
        np.mean(
            [
                metrics.structural_similarity(
                    np.take(y_true, index, axis), np.take(y_pred, index, axis), **settings
                )
                for index in range(SHAPE[axis])
            ]
        )
        for axis in range(3)
    ]
    assert np.ptp(per_view) > 0.01
    assert ssim_planes(y_true, y_pred, window=window) == pytest.approx(np.mean(per_view), abs=1e-9)


def test_ssim_3d_agrees_with_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    expected = metrics.structural_similarity(*pair, **SKIMAGE)
    assert ssim_3d(*pair) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("ssim", [ssim_planes, ssim_3d])
def test_ssim_scales_with_the_data_range(ssim, pair):
    scaled = ssim(2500 * pair[0], 2500 * pair[1], data_range=2500.0)
    assert scaled == pytest.approx(ssim(*pair), abs=1e-9)


def test_psnr_of_float32_is_computed_in_float64():
    y_true = np.full(SHAPE, 0.5, "float32")
    y_pred = (y_true + np.float32(1e-6)).astype("float32")
    difference = float(y_pred[0, 0, 0]) - 0.5
    assert psnr(y_true, y_pred) == pytest.approx(-20 * np.log10(difference), abs=1e-9)


@pytest.mark.parametrize("ssim", [ssim_planes, ssim_3d])
def test_ssim_of_float32_is_computed_in_float64(ssim, pair):
    single = [volume.astype("float32") for volume in pair]
    double = [volume.astype("float64") for volume in single]
    assert ssim(*single) == pytest.approx(ssim(*double), abs=1e-13)
    assert ssim(single[0], double[1]) == pytest.approx(ssim(*double), abs=1e-13)
    assert ssim(double[0], single[1]) == pytest.approx(ssim(*double), abs=1e-13)


def test_uniform_window_agrees_with_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    expected = metrics.structural_similarity(*pair, data_range=1.0)
    assert ssim_3d(*pair, window=UNIFORM_7) == pytest.approx(expected, abs=1e-9)
    coarse = metrics.structural_similarity(*pair, data_range=2.0)
    assert ssim_3d(*pair, 2.0, UNIFORM_7) == pytest.approx(coarse, abs=1e-9)
