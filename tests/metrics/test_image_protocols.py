import numpy as np
import pytest

from xctrs_tf.metrics import PROTOCOLS, psnr, ssim_3d, ssim_planes

SHAPE = (14, 17, 20)
WINDOW_HU = (-1000.0, 1500.0)


@pytest.fixture
def pair():
    generator = np.random.default_rng(1)
    y_true = generator.random(SHAPE).cumsum(axis=2) / SHAPE[2]
    return y_true, np.clip(y_true + generator.normal(0, 0.1, SHAPE), 0, 1)


def stored(values):
    """Return HU + 1024, clipped to [0, 2500], of values in the window [-1000, 1500]."""
    return np.clip(2500 * values + 24, 0, 2500)


def mean_over_planes(figure, first, second):
    views = [
        np.mean([figure(a, b) for a, b in zip(first_view, second_view, strict=True)])
        for first_view, second_view in (
            (np.moveaxis(first, axis, 0), np.moveaxis(second, axis, 0)) for axis in range(3)
        )
    ]
    assert np.ptp(views) > 1e-3
    return np.mean(views)


def test_every_protocol_names_psnr_and_ssim_first(pair):
    assert list(PROTOCOLS) == ["xctrs", "literal", "x2ct", "perx2ct"]
    for protocol in PROTOCOLS.values():
        figures = protocol(*pair, WINDOW_HU)
        assert {"psnr", "ssim"} <= set(figures)
        assert all(isinstance(value, float) for value in figures.values())


def test_xctrs(pair):
    assert PROTOCOLS["xctrs"](*pair, WINDOW_HU) == {
        "psnr": psnr(*pair),
        "ssim": ssim_planes(*pair),
        "ssim_3d": ssim_3d(*pair),
    }


def test_x2ct_psnr_by_hand():
    # An error of 250 HU in all voxels: 20 dB, and more by the ratio of the peak values.
    first, second = np.full(SHAPE, 0.25), np.full(SHAPE, 0.35)
    figures = PROTOCOLS["x2ct"](first, second, WINDOW_HU)
    assert figures["psnr"] == pytest.approx(20 * np.log10(4095 / 250))
    assert figures["psnr"] - psnr(first, second) == pytest.approx(4.286, abs=5e-4)
    assert figures["psnr_planes"] == pytest.approx(figures["psnr"])


def test_x2ct_cuts_stored_values_to_whole_numbers():
    # 649.0 and 649.75 are the same whole number; 650.25 is the next.
    first = np.full(SHAPE, 0.25)
    same, next_one = np.full(SHAPE, 0.2503), np.full(SHAPE, 0.2505)
    assert PROTOCOLS["x2ct"](first, same, WINDOW_HU)["psnr"] == 100.0
    figures = PROTOCOLS["x2ct"](first, next_one, WINDOW_HU)
    assert figures["psnr"] == pytest.approx(20 * np.log10(4095))


@pytest.mark.parametrize("name", ["x2ct", "perx2ct"])
def test_whole_numbers_pass_through_float32_before_they_are_cut(name):
    # In float32 7 / 2500 * 2500 is a little less than 7: it is cut to 6, but 6 remains 6.
    assert np.trunc(np.float32(7) / np.float32(2500) * np.float32(2500)) == 6
    six, seven = np.full(SHAPE, 6 / 2500), np.full(SHAPE, 7 / 2500)
    assert PROTOCOLS[name](six, seven, (-1024.0, 1476.0))["psnr"] == 100.0
    eight = np.full(SHAPE, 8 / 2500)
    expected = pytest.approx(20 * np.log10(4095 / 2))
    assert PROTOCOLS[name](six, eight, (-1024.0, 1476.0))["psnr"] == expected


def test_x2ct_clips_to_its_own_window():
    # 1480 HU and 1500 HU are above 1476 HU, the value of 2500.
    first, second = np.full(SHAPE, 0.992), np.full(SHAPE, 1.0)
    assert PROTOCOLS["x2ct"](first, second, WINDOW_HU)["psnr"] == 100.0
    wider = PROTOCOLS["x2ct"](first, second, (-1024.0, 1476.0))
    assert wider["psnr"] == pytest.approx(20 * np.log10(4095 / 20))


def test_planes_that_are_equal_count_as_100_db():
    # One voxel: a plane of each view holds it, all others are equal.
    first = np.full(SHAPE, 0.25)
    second = first.copy()
    second[3, 5, 7] = 0.35
    planes = [SHAPE[1] * SHAPE[2], SHAPE[0] * SHAPE[2], SHAPE[0] * SHAPE[1]]
    expected = np.mean(
        [
            (100 * (count - 1) + 10 * np.log10(4095**2 * voxels / 250**2)) / count
            for count, voxels in zip(SHAPE, planes, strict=True)
        ]
    )
    assert PROTOCOLS["x2ct"](first, second, WINDOW_HU)["psnr_planes"] == pytest.approx(expected)
    assert PROTOCOLS["perx2ct"](first, second, WINDOW_HU)["psnr"] == pytest.approx(expected)


def test_x2ct_agrees_with_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    figures = PROTOCOLS["x2ct"](*pair, WINDOW_HU)
    whole = [np.trunc(stored(volume)) for volume in pair]
    scaled = [stored(volume) / 2500 for volume in pair]

    def plane_psnr(a, b):
        return metrics.peak_signal_noise_ratio(a, b, data_range=4095)

    def plane_ssim(a, b):
        return metrics.structural_similarity(a, b, data_range=1.0)

    assert figures["psnr"] == pytest.approx(plane_psnr(*whole), abs=1e-6)
    assert figures["psnr_planes"] == pytest.approx(mean_over_planes(plane_psnr, *whole), abs=1e-6)
    assert figures["ssim"] == pytest.approx(mean_over_planes(plane_ssim, *scaled), abs=1e-6)


def test_perx2ct_agrees_with_scikit_image(pair):
    metrics = pytest.importorskip("skimage.metrics")
    figures = PROTOCOLS["perx2ct"](*pair, WINDOW_HU)
    scaled = [stored(volume) / 2500 for volume in pair]
    expected = metrics.structural_similarity(*scaled, data_range=2.0)
    assert figures["ssim"] == pytest.approx(expected, abs=1e-6)
    assert figures["psnr"] == PROTOCOLS["x2ct"](*pair, WINDOW_HU)["psnr_planes"]


def test_literal_by_hand():
    # Eight voxels of 0.6 for 0.2 in a CT of 0.2 whose maximum is one voxel of 0.5.
    y_true = np.full(SHAPE, 0.2)
    y_true[0, 0, 0] = 0.5
    y_pred = y_true.copy()
    y_pred[2:4, 4:6, 8:10] = 0.6
    n = np.prod(SHAPE)
    figures = PROTOCOLS["literal"](y_true, y_pred, WINDOW_HU)
    assert figures["psnr"] == pytest.approx(10 * np.log10(0.5**2 * n / (8 * 0.4**2)))

    mean_true, mean_pred = 0.2 + 0.3 / n, 0.2 + (0.3 + 8 * 0.4) / n
    variance_true = (0.3**2) / n - (0.3 / n) ** 2
    variance_pred = (0.3**2 + 8 * 0.4**2) / n - ((0.3 + 8 * 0.4) / n) ** 2
    covariance = 0.3**2 / n - 0.3 * (0.3 + 8 * 0.4) / n**2
    c1, c2 = 0.01**2, 0.03**2
    expected = (
        (2 * mean_true * mean_pred + c1)
        * (2 * covariance + c2)
        / (mean_true**2 + mean_pred**2 + c1)
        / (variance_true + variance_pred + c2)
    )
    assert figures["ssim"] == pytest.approx(expected)


def test_equal_volumes(pair):
    figures = {name: f(pair[0], pair[0], WINDOW_HU) for name, f in PROTOCOLS.items()}
    assert [figures[name]["psnr"] for name in PROTOCOLS] == [np.inf, np.inf, 100.0, 100.0]
    for name in PROTOCOLS:
        assert figures[name]["ssim"] == pytest.approx(1.0)
