import numpy as np
import pytest

from xctrs_tf.evaluation.figures.surface_rendering import PictureFrame, fitted_frame, render_surface
from xctrs_tf.style import VERTEBRA_COLORS

SHAPE = (30, 36, 42)
FRAME = PictureFrame(center=(14.5, 17.5, 20.5), extent=44.0)
PIXELS = 88  # two pixels a voxel


def ball(center, radius, label=1):
    grid = np.indices(SHAPE) - np.reshape(center, (3, 1, 1, 1))
    return np.where((grid**2).sum(axis=0) <= radius**2, label, 0).astype("uint8")


def drawn(image):
    return (image < 250).any(axis=-1)


def middle(image):
    """Return (right, up) of the centre of the drawing, in voxels from the picture centre."""
    rows, columns = np.nonzero(drawn(image))
    return (columns.mean() + 0.5 - PIXELS / 2) / 2, (PIXELS / 2 - rows.mean() - 0.5) / 2


def render(labels, view):
    return render_surface(labels, view, FRAME, PIXELS)


def test_an_empty_volume_is_white():
    assert (render_surface(np.zeros(SHAPE, "uint8"), pixels=40) == 255).all()


def test_ball_is_a_disc_of_its_size():
    image = render(ball(FRAME.center, 8), (0, 0))
    assert image.shape == (PIXELS, PIXELS, 3)
    assert image.dtype == np.uint8
    assert drawn(image).sum() / 4 == pytest.approx(np.pi * 8**2, rel=0.08)
    assert middle(image) == pytest.approx((0, 0), abs=0.2)


# The ball is 5 voxels to the left, 7 posterior and 9 superior of the centre.
@pytest.mark.parametrize(
    ("view", "right", "up"),
    [
        ((0, 0), 7, 9),  # from the left: posterior is on the right
        ((90, 0), -5, 9),  # from behind: left is on the left
        ((-90, 0), 5, 9),  # from the front: left is on the right
        ((180, 0), -7, 9),  # from the right: anterior is on the right
        ((0, 90), 7, -5),  # from above, the patient's left below
    ],
)
def test_views_show_the_patient_from_where_they_say(view, right, up):
    center = np.add(FRAME.center, (5, 7, 9))
    assert middle(render(ball(center, 3), view)) == pytest.approx((right, up), abs=0.25)


@pytest.mark.parametrize(
    ("view", "seen"), [((0, 0), 2), ((180, 0), 5), ((90, 0), 7), ((-90, 0), 1)]
)
def test_the_nearer_vertebra_hides_the_other(view, seen):
    labels = np.zeros(SHAPE, "uint8")
    for label, offset in ((2, (8, 0, 0)), (5, (-8, 0, 0)), (7, (0, 8, 0)), (1, (0, -8, 0))):
        labels += ball(np.add(FRAME.center, offset), 3, label)
    color = render(labels, view)[PIXELS // 2, PIXELS // 2].astype(float)
    expected = np.array(VERTEBRA_COLORS)
    cosine = expected @ color / np.linalg.norm(expected, axis=1) / np.linalg.norm(color)
    assert np.argmax(cosine) + 1 == seen


def test_light_comes_from_above():
    image = render(ball(FRAME.center, 10), (0, 0)).astype(float).sum(axis=-1)
    column = image[:, PIXELS // 2]
    assert column[PIXELS // 2 - 14] > 1.2 * column[PIXELS // 2 + 14]


def test_edges_are_smooth():
    image = render(ball(FRAME.center, 8), (0, 0))
    # Blue is below 100 inside the ball; smooth edge pixels lie between that and white.
    blue = image[..., 2]
    assert ((blue > 100) & (blue < 250)).sum() > 0.3 * 2 * np.pi * 8 * 2


def test_touching_vertebrae_keep_their_colours():
    labels = np.zeros(SHAPE, "uint8")
    labels[8:20, 10:25, 21:28] = 3
    labels[8:20, 10:25, 14:21] = 6
    image = render(labels, (0, 0)).astype(int)
    # Hue of upper and lower half: yellow has more red than blue.
    upper, lower = image[PIXELS // 2 - 8, PIXELS // 2], image[PIXELS // 2 + 8, PIXELS // 2]
    assert upper[0] > upper[2]
    assert lower[0] < lower[2]


def test_a_body_that_the_volume_cuts_has_a_flat_lit_end():
    labels = np.zeros(SHAPE, "uint8")
    labels[20:, 10:26, 12:30] = 4
    image = render(labels, (0, 0)).astype(int)
    face = image[PIXELS // 2 - 14 : PIXELS // 2 + 14, PIXELS // 2 - 12 : PIXELS // 2 + 12]
    assert (face[..., 1] > 100).all()
    assert np.ptp(face[..., 1]) < 40
    assert drawn(image).sum() / 4 == pytest.approx(16 * 18, rel=0.1)


def test_a_thin_process_is_not_lost():
    labels = ball(FRAME.center, 5)
    labels[14:16, 17:33, 20:22] = 1
    right = np.nonzero(drawn(render(labels, (0, 0))))[1].max()
    assert (right - PIXELS / 2) / 2 == pytest.approx(32.5 - FRAME.center[1], abs=1.0)


def test_fitted_frame_holds_everything():
    labels = ball((10, 20, 15), 4) + ball((18, 12, 30), 4)
    frame = fitted_frame(labels)
    assert frame.center == pytest.approx((14, 16, 22.5))
    for azimuth in (0, 52, 135):
        image = render_surface(labels, (azimuth, 14), frame, 80)
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (border == 255).all()
        assert drawn(image).any()
