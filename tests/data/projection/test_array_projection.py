import itertools
import threading

import numpy as np
import pytest

from tests.data.projection.slow_projection import slow_film, turned
from xctrs_tf.data.projection.array_projection import for_both_views, project_array
from xctrs_tf.data.projection.drr import parallel_projection

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


def centred_film(mu, spacing_mm, view, *others):
    """Return the film of a volume around the isocentre."""
    origin_mm = [-(count - 1) / 2 * edge for count, edge in zip(mu.shape, spacing_mm, strict=True)]
    return project_array(mu, spacing_mm, origin_mm, view, *others)


def centroid(film, pixel_mm):
    places = grid(film.shape, (pixel_mm, pixel_mm))
    return np.array([(place * film).sum() / film.sum() for place in places])


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_slab_across_the_rays_shows_how_oblique_they_are(view):
    depth, horizontal = AXES[view]
    shape = [0, 0, 70]
    shape[depth], shape[horizontal] = 5, 60
    film = centred_film(np.ones(shape), (2.0,) * 3, view, (20, 30), 1.0, 100.0)
    u, v = grid((20, 30), (1.0, 1.0))
    np.testing.assert_allclose(film, 5 * 2.0 * np.sqrt(1 + (u**2 + v**2) / 100**2), rtol=1e-5)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_chords_of_a_sphere(view):
    radius_mm, centre, source_mm = 40.0, np.array([6.0, -9.0, 12.0]), 300.0
    mu = ball((66, 64, 62), (2.0,) * 3, centre, radius_mm)
    film = centred_film(mu, (2.0,) * 3, view, (65, 62), 2.0, source_mm)
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
        mu = ball((48, 50, 52), (2.0,) * 3, centre, 5.0)
        film = centred_film(mu, (2.0,) * 3, view, (49, 52), 2.0, 200.0)
        expected = np.array([-18.0, 24.0]) * 200 / (200 + away)
        np.testing.assert_allclose(centroid(film, 2.0), expected, atol=0.1)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_source_far_away_makes_parallel_rays(view):
    mu = np.random.default_rng(0).random((12, 14, 16), np.float32)
    expected = np.asarray(parallel_projection(mu, 2.5, view))
    frame = ((2.5,) * 3, view, expected.shape, 2.5)
    np.testing.assert_allclose(centred_film(mu, *frame, 1e7), expected, rtol=1e-4)
    np.testing.assert_allclose(centred_film(mu, *frame), expected, rtol=1e-5)


def test_wide_pixels_average_and_keep_the_mass():
    mu = np.random.default_rng(0).random((24, 20, 30), np.float32)
    film = centred_film(mu, (1.0, 1.0, 1.0), "ap", (8, 10), 3.0)
    np.testing.assert_allclose(film, mu.sum(1).reshape(8, 3, 10, 3).mean((1, 3)), rtol=1e-5)


def test_anisotropic_voxels_keep_their_places():
    centre = (9.0, -6.0, 12.0)
    spacing_mm = np.array([1.0, 2.0, 3.0])
    shape = np.array([60, 40, 30])
    mu = ball(shape, spacing_mm, centre, 8.0)
    for view, expected in (("ap", (9.0, 12.0)), ("la", (-6.0, 12.0))):
        film = centred_film(mu, spacing_mm, view, (50, 52), 1.0)
        np.testing.assert_allclose(centroid(film, 1.0), expected, atol=0.1)
        np.testing.assert_allclose(film.sum(), mu.sum() * 6.0, rtol=1e-4)


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
    film = centred_film(
        mu, (2.0,) * 3, view, (58, 64), 2.0, source_mm, rotation_deg, translation_mm
    )
    place = turned(rotation_deg or (0, 0, 0), point) + translation_mm
    depth, horizontal = AXES[view]
    scale = 1.0 if source_mm is None else source_mm / (source_mm + place[depth])
    expected = place[[horizontal, 2]] * scale
    np.testing.assert_allclose(centroid(film, 2.0), expected, atol=0.15)
    # The area of the shadow grows with the magnification and with oblique rays.
    cosine = 1.0 if source_mm is None else source_mm / np.linalg.norm([source_mm, *expected])
    assert film.sum() * 4 == pytest.approx(mu.sum() * 8 * scale**2 / cosine, rel=0.02)


@pytest.mark.parametrize("view", ["ap", "la"])
@pytest.mark.parametrize("source_mm", [None, 250.0])
@pytest.mark.parametrize("rotation_deg", [None, (-8.0, 10.0, 12.0), (15.0, -15.0, 15.0)])
def test_line_integrals_of_smooth_blobs(view, source_mm, rotation_deg):
    """Compare with the exact integrals of three Gaussians along each pixel's own ray."""
    width_mm, translation_mm = 12.0, np.array([3.0, -4.0, 5.0])
    centres = np.array([(0.0, 0.0, 0.0), (26.0, -20.0, 30.0), (-30.0, 14.0, -24.0)])
    places = np.stack(grid((90, 92, 94), (2.0,) * 3), -1)
    mu = sum(np.exp(-((places - centre) ** 2).sum(-1) / (2 * width_mm**2)) for centre in centres)
    film = centred_film(
        mu, (2.0,) * 3, view, (48, 50), 2.0, source_mm, rotation_deg, translation_mm
    )
    depth, horizontal = AXES[view]
    points = np.zeros((*film.shape, 3))
    points[..., horizontal], points[..., 2] = grid(film.shape, (2.0, 2.0))
    ray = np.zeros((*film.shape, 3))
    ray[..., depth] = 1.0 if source_mm is None else source_mm
    if source_mm is not None:
        ray += points
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    expected = 0
    for centre in centres:
        place = turned(rotation_deg or (0, 0, 0), centre) + translation_mm
        squared = (np.cross(place - points, ray) ** 2).sum(-1)
        expected += np.sqrt(2 * np.pi) * width_mm * np.exp(-squared / (2 * width_mm**2))
    np.testing.assert_allclose(film, expected, atol=0.015 * expected.max())


@pytest.mark.parametrize("view", ["ap", "la"])
def test_the_largest_rotation_finds_the_corners_of_the_film(view):
    mu = np.random.default_rng(0).random((50, 52, 54), np.float32)
    for rotation_deg in np.array(np.meshgrid(*[(-15.0, 15.0)] * 3)).reshape(3, -1).T:
        film = centred_film(mu, (1.0,) * 3, view, (33, 31), 1.0, 99.0, rotation_deg)
        wide = centred_film(mu, (1.0,) * 3, view, (53, 51), 1.0, 99.0, rotation_deg)
        np.testing.assert_allclose(film, wide[10:-10, 10:-10], rtol=1e-3)


def test_planes_behind_the_source_are_not_seen():
    mu = np.zeros((8, 40, 10), np.float32)
    mu[:, :10] = 1.0  # In front of the patient, behind a source 30 mm from the middle.
    mu[:, 30:] = 1.0
    frame = ((2.0,) * 3, "ap", (8, 10), 2.0, 15.0)
    film = centred_film(mu, *frame)
    mu[:, :10] = 0.0
    np.testing.assert_array_equal(film, centred_film(mu, *frame))
    assert film.max() > 0


@pytest.mark.parametrize("view", ["ap", "la"])
@pytest.mark.parametrize(
    ("source_mm", "pose"),
    [
        *itertools.product(
            (None, 250.0),
            (
                (None, None),
                (None, (4.0, -5.0, 2.0)),
                ((3.0, -14.0, 9.0), (1.0, 2.0, -3.0)),
                ((-15.0, 15.0, -15.0), None),
            ),
        ),
        # Inside the volume.
        (15.0, (None, None)),
    ],
)
def test_films_are_those_of_a_slow_projection(view, source_mm, pose):
    mu = np.random.default_rng(0).random((20, 22, 24), np.float32)
    grid = ((2.0, 1.5, 3.0), (-17.0, -16.0, -34.0))
    # As wide as a voxel, several times as wide, narrower; partly beside the volume.
    for pixels, pixel_mm in (((20, 24), 2.0), ((9, 11), 7.3), ((40, 50), 0.7)):
        frame = (*grid, view, pixels, pixel_mm, source_mm, *pose)
        film = project_array(mu, *frame)
        expected = slow_film(mu, *frame)
        assert film.dtype == np.float32 and film.shape == pixels
        np.testing.assert_allclose(film, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_volume_of_any_memory_layout():
    mu = np.random.default_rng(0).random((8, 9, 10)).T
    frame = ((2.0,) * 3, (-9.0, -8.0, -7.0), "la", (9, 8), 2.0, 100.0)
    np.testing.assert_array_equal(
        project_array(mu, *frame), project_array(np.ascontiguousarray(mu, np.float32), *frame)
    )


def test_a_volume_beside_the_film_leaves_it_dark():
    mu = np.ones((4, 5, 6), np.float32)
    film = project_array(mu, (1.0,) * 3, (100.0, 100.0, 100.0), "ap", (7, 8), 1.0, 500.0)
    np.testing.assert_array_equal(film, np.zeros((7, 8), np.float32))


def test_both_films_are_made_at_the_same_time():
    # Each waits for the other one.
    met = threading.Barrier(2)

    def film(view):
        met.wait(timeout=60)
        return f"film of {view}"

    assert for_both_views(film) == {"ap": "film of ap", "la": "film of la"}


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_continued_volume_is_one_with_its_borders_repeated(view):
    mu = np.random.default_rng(0).random((10, 9, 8), np.float32)
    pad = ((0, 0) if view == "la" else (20, 20), (0, 0) if view == "ap" else (20, 20), (20, 20))
    padded = np.pad(mu, pad, mode="edge")
    film = (view, (14, 16), 2.0, 90.0, (4.0, -3.0, 6.0), (1.0, 2.0, -3.0))
    first = np.array([-9.0, -8.0, -7.0])
    continued = project_array(mu, (2.0,) * 3, first, *film, beyond="border")
    expected = project_array(
        padded, (2.0,) * 3, first - 2.0 * np.array([before for before, _ in pad]), *film
    )
    np.testing.assert_allclose(continued, expected, rtol=1e-4)
    assert np.any(project_array(mu, (2.0,) * 3, first, *film) < 0.5 * continued)
