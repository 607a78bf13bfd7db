"""Rendering of the vertebrae as solid bodies by ray casting, without a graphics library.

Rays are parallel, one per pixel. A coarse pass finds the depth range in which each ray
may meet bone; a fine pass samples this range alone.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.style import VERTEBRA_COLORS

LATERAL = (0.0, 8.0)
POSTERIOR_OBLIQUE = (52.0, 14.0)

_LEVEL = 0.45  # of the smoothed labels: the surface
_SMOOTHING = 0.75  # voxels
_PADDING = 3  # voxels
_SUPERSAMPLING = 2
_COARSE_STEP = 1.0  # voxels
_FINE_STEP = 0.35  # voxels
_OCCLUSION_RADIUS = 3.0  # voxels
_LIGHT = np.array([-0.45, 0.55, 0.70])  # (right, up, to the viewer)

# A picture's width over that of the labels.
_MARGIN = 1.03


@dataclasses.dataclass(frozen=True)
class PictureFrame:
    """Part of the volume that a picture shows.

    Attributes:
        center: voxel coordinates of the picture's centre.
        extent: width and height of the picture in voxels.
    """

    center: tuple
    extent: float


def fitted_frame(labels):
    """Return the frame that holds all labels at any azimuth, up to the oblique view's elevation.

    Args:
        labels: integers `[x, y, z]`.

    Returns:
        `PictureFrame`; of the whole volume if it has no label.
    """
    voxels = np.argwhere(labels > 0)
    if len(voxels) == 0:
        voxels = np.array([[0, 0, 0], np.array(labels.shape) - 1])
    center = (voxels.min(axis=0) + voxels.max(axis=0)) / 2
    x, y, z = np.abs(voxels - center).T
    radius, e = np.hypot(x, y), np.radians(POSTERIOR_OBLIQUE[1])
    height = z * np.cos(e) + radius * np.sin(e)
    return PictureFrame(tuple(center), 2 * _MARGIN * (max(radius.max(), height.max()) + 1))


def render_surface(labels, view=LATERAL, frame=None, pixels=480):
    """Draw C1..C7 as shaded surfaces on white.

    Args:
        labels: integers `[x, y, z]`, 1..7 = C1..C7, cubic voxels.
        view: `(azimuth, elevation)` of the viewer in degrees. Azimuth 0 looks
            from the patient's left, 90 from behind, -90 from the front;
            elevation lifts the viewer. The patient's head is always on top.
        frame: part of the volume to show; by default `fitted_frame(labels)`. Pictures that
            are compared must share one.
        pixels: width and height.

    Returns:
        uint8 `(pixels, pixels, 3)`.
    """
    frame = frame or fitted_frame(labels)
    # Padding closes bodies that the volume cuts off.
    labels = np.pad(labels, _PADDING)
    frame = PictureFrame(tuple(np.add(frame.center, _PADDING)), frame.extent)
    axes = _camera_axes(*view)
    fine = _SUPERSAMPLING * pixels
    image = np.ones((fine * fine, 3))
    scene = _Scene(labels)
    if scene.field.max() > _LEVEL:
        hits, points = _first_hits(scene.field, frame, axes, fine)
        image[hits] = _shade(scene, points, frame, axes)
    image = image.reshape(pixels, _SUPERSAMPLING, pixels, _SUPERSAMPLING, 3).mean(axis=(1, 3))
    return np.round(255 * image).astype(np.uint8)


class _Scene:
    """Smoothed labels, and their maximum: the field whose level set is the surface.

    The maximum keeps neighbours apart that nearly touch, where one smoothed
    mask of all would bridge the joint.
    """

    def __init__(self, labels):
        self.bodies = np.stack(
            [
                scipy.ndimage.gaussian_filter((labels == label).astype(np.float32), _SMOOTHING)
                for label in range(1, NUM_CLASSES)
            ]
        )
        self.field = self.bodies.max(axis=0)

    def owner(self, points):
        """Return the index 0..6 of the vertebra whose body is strongest at each point."""
        return np.argmax([_sample(body, points) for body in self.bodies], axis=0)


def _camera_axes(azimuth, elevation):
    """Return unit vectors to the right, up and to the viewer, as rows `(3, 3)`."""
    a, e = np.radians([azimuth, elevation])
    viewer = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    return np.stack([right, np.cross(viewer, right), viewer])


def _rays(frame, axes, pixels):
    """Return the points where rays cross the picture's plane: `(pixels * pixels, 3)`, by rows."""
    offsets = ((np.arange(pixels) + 0.5) / pixels - 0.5) * frame.extent
    up, right = np.meshgrid(-offsets, offsets, indexing="ij")
    plane = np.stack([right.ravel(), up.ravel()], axis=1)
    return np.asarray(frame.center) + plane @ axes[:2]


def _sample(volume, points):
    return scipy.ndimage.map_coordinates(volume, points.T, order=1, mode="constant", cval=0.0)


def _first_hits(field, frame, axes, pixels):
    """Find the pixels whose ray meets the surface, and the points of contact.

    Returns:
        `(hits, points)`: flat indices of pixels, and voxel coordinates
        `(hits, 3)` between whose sides the field crosses the level.
    """
    nearest, farthest = _coarse_depths(field, frame, axes, pixels)
    origins = _rays(frame, axes, pixels)
    active = np.flatnonzero(nearest < np.inf)
    depth = nearest[active]
    before = _sample(field, origins[active] - depth[:, None] * axes[2])
    hits, points = [], []
    while len(active):
        after = _sample(field, origins[active] - (depth + _FINE_STEP)[:, None] * axes[2])
        hit = after >= _LEVEL
        # Linear between the two samples; a ray that starts inside hits at once.
        fraction = np.clip((_LEVEL - before[hit]) / np.maximum(after - before, 1e-6)[hit], 0, 1)
        hits.append(active[hit])
        at = depth[hit] + _FINE_STEP * fraction
        points.append(origins[active[hit]] - at[:, None] * axes[2])
        going = ~hit & (depth < farthest[active])
        active, depth, before = active[going], depth[going] + _FINE_STEP, after[going]
    return np.concatenate(hits), np.concatenate(points)


def _coarse_depths(field, frame, axes, pixels):
    """Return the depths between which each ray may meet the surface; infinite if it cannot."""
    coarse = min(pixels, int(np.ceil(frame.extent / _COARSE_STEP)))
    origins = _rays(frame, axes, coarse)
    reach = np.linalg.norm(field.shape) / 2 + np.linalg.norm(
        np.asarray(frame.center) - (np.array(field.shape) - 1) / 2
    )
    depths = np.arange(-reach, reach, _COARSE_STEP)
    nearest = np.full(len(origins), np.inf)
    farthest = np.full(len(origins), -np.inf)
    for depth in depths:
        # Half the level, so that a thin edge between two coarse samples counts.
        inside = _sample(field, origins - depth * axes[2]) > _LEVEL / 2
        nearest[inside] = np.minimum(nearest[inside], depth)
        farthest[inside] = depth
    nearest = scipy.ndimage.minimum_filter(nearest.reshape(coarse, coarse), 3) - 2 * _COARSE_STEP
    farthest = scipy.ndimage.maximum_filter(farthest.reshape(coarse, coarse), 3) + 2 * _COARSE_STEP
    rows = np.arange(pixels) * coarse // pixels
    return nearest[np.ix_(rows, rows)].ravel(), farthest[np.ix_(rows, rows)].ravel()


def _unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def _shade(scene, points, frame, axes):
    """Return the colour of surface points `(n, 3)` in 0..1."""
    normals = -np.stack([_sample(part, points) for part in np.gradient(scene.field)], axis=1)
    normals = _unit(normals)
    facing = normals @ axes.T  # (right, up, to the viewer)
    light = _unit(_LIGHT)
    half = _unit(light + np.array([0.0, 0.0, 1.0]))

    diffuse = np.clip(facing @ light, 0, None)
    fill = 0.5 + 0.5 * facing[:, 1]
    headlight = np.clip(facing[:, 2], 0, None)
    shine = np.clip(facing @ half, 0, None) ** 24

    # Ambient occlusion: bone near a point reduces its light.
    around = scipy.ndimage.gaussian_filter(np.minimum(2 * scene.field, 1), _OCCLUSION_RADIUS)
    open_sky = 1.0 - np.clip(_sample(around, points + _OCCLUSION_RADIUS * normals), 0, 0.6)
    depth = (points - np.asarray(frame.center)) @ axes[2] / frame.extent
    haze = np.clip(0.96 + 0.45 * depth, 0.62, 1.04)

    color = np.array(VERTEBRA_COLORS)[scene.owner(points)]
    brightness = (0.34 + 0.12 * fill + 0.52 * diffuse + 0.26 * headlight) * open_sky**1.2 * haze
    return np.clip(color * brightness[:, None] + 0.16 * (shine * open_sky)[:, None], 0, 1)
