import numpy as np
import pytest
from keras import ops

from tests.data.projection.test_drr import gradient
from xctrs_tf.data.projection.drr import cone_projection, parallel_projection
from xctrs_tf.data.projection.ray_integrals import project

# Axis of the rays, and of the film's first index.
AXES = {"ap": (1, 0), "la": (0, 1)}


def grid(shape, spacing_mm):
    """Return the positions of the voxel centres from the centre of the volume, in mm."""
    axes = [
        (np.arange(count) - (count - 1) / 2) * edge
        for count, edge in zip(shape, spacing_mm, strict=True)
    ]
    return np.meshgrid(*axes, indexing="ij")


def ball(shape, spacing_mm, centre, radius_mm):
    """Return a ball of attenuation 1; voxels at its surface have partial values."""
    distance = np.sqrt(
        sum((x - c) ** 2 for x, c in zip(grid(shape, spacing_mm), centre, strict=True))
    )
    return np.clip((radius_mm - distance) / min(spacing_mm) + 0.5, 0, 1).astype(np.float32)


def centroid(film, pixel_mm):
    places = grid(film.shape, (pixel_mm, pixel_mm))
    return np.array([(place * film).sum() / film.sum() for place in places])


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_slab_across_the_rays_shows_how_oblique_they_are(view):
    depth, horizontal = AXES[view]
    shape = [0, 0, 70]
    shape[depth], shape[horizontal] = 5, 60
    film = np.asarray(
        cone_projection(np.ones(shape), 2.0, view, 100.0, 150.0, (20, 30), detector_pixel_mm=1.5)
    )
    # 150 / 100 makes 1.5 mm of the detector 1 mm at the isocentre.
    u, v = grid((20, 30), (1.0, 1.0))
    np.testing.assert_allclose(film, 5 * 2.0 * np.sqrt(1 + (u**2 + v**2) / 100**2), rtol=1e-5)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_chords_of_a_sphere(view):
    radius_mm, centre, source_mm = 40.0, np.array([6.0, -9.0, 12.0]), 300.0
    film = np.asarray(
        cone_projection(
            ball((66, 64, 62), (2.0,) * 3, centre, radius_mm), 2.0, view, source_mm, 500
        )
    )
    depth, horizontal = AXES[view]
    direction = np.zeros((*film.shape, 3))
    direction[..., depth] = source_mm
    direction[..., horizontal], direction[..., 2] = grid(film.shape, (2.0, 2.0))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    source = np.zeros(3)
    source[depth] = -source_mm
    off = np.linalg.norm(np.cross(centre - source, direction), axis=-1)
    chord = 2 * np.sqrt(np.maximum(radius_mm**2 - off**2, 0))
    np.testing.assert_allclose(film[off < 36], chord[off < 36], atol=1.0)
    assert np.abs(film - chord).mean() < 0.2
    assert np.all(film[off > radius_mm + 4] == 0)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_magnification_grows_towards_the_source(view):
    depth, horizontal = AXES[view]
    for away in (-30.0, 0.0, 30.0):
        centre = np.array([0.0, 0.0, 24.0])
        centre[depth], centre[horizontal] = away, -18.0
        film = np.asarray(
            cone_projection(ball((48, 50, 52), (2.0,) * 3, centre, 5.0), 2.0, view, 200.0, 333.0)
        )
        expected = np.array([-18.0, 24.0]) * 200 / (200 + away)
        np.testing.assert_allclose(centroid(film, 2.0), expected, atol=0.1)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_source_far_away_makes_parallel_rays(view):
    mu = np.random.default_rng(0).random((12, 14, 16), np.float32)
    expected = np.asarray(parallel_projection(mu, 2.5, view))
    far = np.asarray(cone_projection(mu, 2.5, view, 1e7, 1.5e7))
    np.testing.assert_allclose(far, expected, rtol=1e-4)
    frame = ((2.5,) * 3, [-13.75, -16.25, -18.75], view, expected.shape, 2.5)
    np.testing.assert_allclose(project(mu, *frame), expected, rtol=1e-5)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_batch_of_volumes(view):
    mu = np.random.default_rng(0).random((2, 6, 7, 8), np.float32)
    arguments = (2.0, view, 100.0, 150.0, None, None, (2.0, 3.0, 4.0), (1.0, 2.0, 3.0))
    expected = [cone_projection(volume, *arguments) for volume in mu]
    np.testing.assert_allclose(cone_projection(mu, *arguments), expected, rtol=1e-5)


def test_wide_pixels_average_and_keep_the_mass():
    mu = np.random.default_rng(0).random((24, 20, 30), np.float32)
    frame = ((1.0, 1.0, 1.0), [-11.5, -9.5, -14.5])
    film = np.asarray(project(mu, *frame, "ap", (8, 10), 3.0))
    np.testing.assert_allclose(film, mu.sum(1).reshape(8, 3, 10, 3).mean((1, 3)), rtol=1e-5)


def test_anisotropic_voxels_keep_their_places():
    centre = (9.0, -6.0, 12.0)
    spacing_mm = np.array([1.0, 2.0, 3.0])
    shape = np.array([60, 40, 30])
    mu = ball(shape, spacing_mm, centre, 8.0)
    for view, expected in (("ap", (9.0, 12.0)), ("la", (-6.0, 12.0))):
        film = np.asarray(
            project(
                mu,
                spacing_mm.tolist(),
                (-(shape - 1) / 2 * spacing_mm).tolist(),
                view,
                (50, 52),
                1.0,
            )
        )
        np.testing.assert_allclose(centroid(film, 1.0), expected, atol=0.1)
        np.testing.assert_allclose(film.sum(), mu.sum() * 6.0, rtol=1e-4)


def turned(point, rotation_deg, translation_mm):
    x, y, z = np.radians(rotation_deg)
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(about_z) @ about_y @ about_x @ point + translation_mm


@pytest.mark.parametrize("view", ["ap", "la"])
@pytest.mark.parametrize("source_mm", [None, 250.0])
@pytest.mark.parametrize(
    ("rotation_deg", "translation_mm"),
    [
        ((14.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 14.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, 14.0), (0.0, 0.0, 0.0)),
        (None, (5.0, -7.0, 9.0)),
        ((-8.0, 10.0, 12.0), (5.0, -7.0, 9.0)),
    ],
)
def test_a_moved_patient(view, source_mm, rotation_deg, translation_mm):
    point = np.array([18.0, -21.0, 26.0])
    mu = ball((52, 54, 56), (2.0,) * 3, point, 5.0)
    film = np.asarray(
        project(
            mu, (2.0,) * 3, (-51.0, -53.0, -55.0), view, (58, 64), 2.0, source_mm,
            rotation_deg, translation_mm,
        )
    )  # fmt: skip
    place = turned(point, rotation_deg or (0, 0, 0), translation_mm)
    depth, horizontal = AXES[view]
    scale = 1.0 if source_mm is None else source_mm / (source_mm + place[depth])
    expected = place[[horizontal, 2]] * scale
    np.testing.assert_allclose(centroid(film, 2.0), expected, atol=0.15)
    # The area of the shadow grows with the magnification and with oblique rays.
    cosine = 1.0 if source_mm is None else source_mm / np.linalg.norm([source_mm, *expected])
    assert film.sum() * 4 == pytest.approx(mu.sum() * 8 * scale**2 / cosine, rel=0.02)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_the_largest_rotation_finds_the_corners_of_the_film(view):
    mu = np.random.default_rng(0).random((50, 52, 54), np.float32)
    frame = ((1.0,) * 3, (-24.5, -25.5, -26.5), view)
    for rotation_deg in np.array(np.meshgrid(*[(-15.0, 15.0)] * 3)).reshape(3, -1).T:
        film = np.asarray(project(mu, *frame, (33, 31), 1.0, 99.0, rotation_deg))
        wide = np.asarray(project(mu, *frame, (53, 51), 1.0, 99.0, rotation_deg))
        np.testing.assert_allclose(film, wide[10:-10, 10:-10], rtol=1e-3)


def test_gradients_reach_the_volume_and_the_pose():
    mu = ball((20, 22, 24), (2.0,) * 3, (3.0, 4.0, 5.0), 8.0)
    weights = np.random.default_rng(0).random((20, 24), np.float32)
    frame = ((2.0,) * 3, (-19.0, -21.0, -23.0), "ap", (20, 24), 2.0, 300.0)
    pose = np.float32([3.0, -4.0, 5.0]), np.float32([1.0, 2.0, -3.0])

    def score(mu, *pose):
        return ops.sum(project(mu, *frame, *pose) * weights)

    slopes = gradient(lambda value: score(value, *pose), mu)
    # The film is linear in the volume.
    assert np.sum(slopes * mu) == pytest.approx(float(score(mu, *pose)), rel=1e-4)
    for index in range(2):

        def moved(value, index=index):
            return score(mu, *(value if at == index else pose[at] for at in range(2)))

        slopes = gradient(moved, pose[index])
        assert slopes.shape == (3,) and np.all(np.isfinite(slopes)) and np.any(slopes != 0)
        step = np.float32(0.5) * slopes / np.linalg.norm(slopes)
        rise = float(moved(pose[index] + step)) - float(moved(pose[index] - step))
        assert rise == pytest.approx(np.linalg.norm(slopes), rel=0.15)


def test_planes_behind_the_source_are_not_seen():
    mu = np.zeros((8, 40, 10), np.float32)
    mu[:, :10] = 1.0  # In front of the patient, behind a source 30 mm from the middle.
    mu[:, 30:] = 1.0
    film = np.asarray(cone_projection(mu, 2.0, "ap", 15.0, 30.0))
    mu[:, :10] = 0.0
    np.testing.assert_array_equal(film, cone_projection(mu, 2.0, "ap", 15.0, 30.0))
    assert film.max() > 0
