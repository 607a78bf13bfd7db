import numpy as np

from xctrs_tf.data.projection.attenuation import attenuation
from xctrs_tf.data.projection.drr import hu_to_mu


def test_attenuation_is_that_of_the_differentiable_one():
    hu = np.array([-2000, -1000, -999, -500, -1, 0, 1, 400, 3000, 32767], np.int16)
    mu = attenuation(hu)
    assert mu.dtype == np.float32
    np.testing.assert_allclose(mu, hu_to_mu(hu), rtol=1e-5, atol=1e-8)


def test_only_what_is_denser_than_water_loses_contrast():
    hu = np.array([-1000, -300, 0, 500, 1000])
    np.testing.assert_array_equal(attenuation(hu, 0.5)[:3], attenuation(hu)[:3])
    rise, half = attenuation(hu) - attenuation([0]), attenuation(hu, 0.5) - attenuation([0])
    np.testing.assert_allclose(half[3:], rise[3:] / 2, rtol=1e-5)
