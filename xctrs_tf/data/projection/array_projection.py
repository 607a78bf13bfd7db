"""Line integrals along the rays of a point source or along parallel rays, plane by plane.

On the film, each plane of the volume across the rays appears only scaled and
shifted: the footprint of a pixel on the plane is a rectangle along the volume's
axes. The film is therefore the sum over all planes ``V`` of ``H V W^T``, where the
small matrices ``H`` and ``W`` hold the overlap of pixels and voxels. For a turned
patient this still holds on a film parallel to the planes. The volume is projected
onto such a film (the sheared film), which is then resampled once onto the real
one. This is the shear-warp factorisation (Lacroute and Levoy, SIGGRAPH 1994) of the
distance-driven projector (De Man and Basu, Phys Med Biol 2004).

A pixel overlaps few voxels of a plane, so the matrices of overlaps are nearly empty and
are kept as sparse ones: one product for the film's horizontal axis, one for the vertical
axis and the sum over the planes. Nothing is traced, so every new pose is equally fast.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy

from xctrs_tf.geometry import RAY_AXIS, VIEWS, rotation_matrix


def for_both_views(film):
    """Make the films of both views at the same time, each in a thread.

    Args:
        film: function from a view to its film. NumPy and SciPy let other threads run
            during their large products.

    Returns:
        Dict from view to film.
    """
    with ThreadPoolExecutor(len(VIEWS)) as threads:
        return dict(zip(VIEWS, threads.map(film, VIEWS), strict=True))


def project_array(
    mu,
    spacing_mm,
    origin_mm,
    view,
    pixels,
    pixel_mm,
    source_mm=None,
    rotation_deg=None,
    translation_mm=None,
    beyond="air",
):
    """Compute line integrals of attenuation through a volume, on a film at the isocentre.

    Positions are relative to the isocentre, which is at the film's centre. The
    central ray runs along y (AP) or x (LA), from the patient's front or right.
    A pixel wider than a voxel averages the voxels that it covers; for narrower
    pixels the planes are interpolated linearly.

    Args:
        mu: attenuation ``(x, y, z)`` in 1/mm.
        spacing_mm: the three edges of a voxel.
        origin_mm: position of the centre of voxel ``[0, 0, 0]``.
        view: ``"ap"`` or ``"la"``.
        pixels: width and height of the film in pixels.
        pixel_mm: edge of a pixel at the isocentre.
        source_mm: distance from the source to the isocentre; None for parallel rays.
        rotation_deg: rotation of the volume about x, y, z, in this order, at most 15
            degrees about each axis; None for no rotation.
        translation_mm: translation of the volume after the rotation; None for none.
        beyond: what lies beside and above the volume's planes across the rays: ``"air"``,
            or ``"border"`` for the continuation of their outermost voxels.

    Returns:
        float32 line integrals (no unit), ``[horizontal, vertical]``.
    """
    mu = np.ascontiguousarray(mu, np.float32)
    axes = np.array((RAY_AXIS[view], 1 - RAY_AXIS[view], 2))
    turned = rotation_deg is not None
    to_patient = rotation_matrix(rotation_deg).T[np.ix_(axes, axes)] if turned else np.eye(3)
    shift = np.zeros(3) if translation_mm is None else np.asarray(translation_mm, float)[axes]
    rays = Rays(
        -to_patient @ shift, to_patient[:, 0], 0.0 if source_mm is None else 1.0 / source_mm
    )
    margins = np.zeros(2, int)
    if turned:
        places = rays.on_sheared_film(to_patient, [_centred(count) * pixel_mm for count in pixels])
        # Only as much of the sheared film as the real one shows.
        reach = [np.abs(place).max() / pixel_mm + 1 for place in places]
        margins = np.ceil(np.maximum(reach - (np.array(pixels) - 1) / 2, 0)).astype(int)
    film = [
        _centred(count + 2 * margin) * pixel_mm
        for count, margin in zip(pixels, margins, strict=True)
    ]
    sheared = _sum_of_planes(
        mu,
        axes,
        np.asarray(spacing_mm, float),
        np.asarray(origin_mm, float),
        film,
        pixel_mm,
        rays,
        beyond == "border",
    )
    if not turned:
        return sheared
    places = [
        place / pixel_mm + (count - 1) / 2
        for place, count in zip(places, sheared.shape, strict=True)
    ]
    return scipy.ndimage.map_coordinates(sheared, places, order=1, mode="nearest")


class Rays:
    """Rays in the patient's frame, whose axes are depth, horizontal, vertical.

    The sheared film lies in the plane across the depth axis through ``centre``.
    From there a ray through the film's point ``q`` moves by ``slope + inverse * q``
    for each mm of depth. The distance of the source is used only as its inverse,
    which is 0 for parallel rays.
    """

    def __init__(self, centre, direction, inverse_source):
        self.centre = centre
        self.direction = direction
        self.inverse_source = inverse_source
        self.slope = direction / direction[0]
        self.inverse = inverse_source / direction[0]

    def squared_length(self, horizontal, vertical):
        """Return the squared length of each ray per mm of depth, ``[horizontal, vertical]``."""
        across = self.slope[1] + self.inverse * horizontal
        up = self.slope[2] + self.inverse * vertical
        return 1.0 + across[:, None] ** 2 + up[None, :] ** 2

    def on_sheared_film(self, to_patient, film):
        """Return the positions in mm at which the real film's rays cross the sheared film."""
        horizontal, vertical = film
        point = [
            to_patient[axis, 1] * horizontal[:, None] + to_patient[axis, 2] * vertical[None, :]
            for axis in range(3)
        ]
        depth = point[0] * self.inverse_source + self.direction[0]
        return [
            point[axis]
            - point[0] * (point[axis] * self.inverse_source + self.direction[axis]) / depth
            for axis in (1, 2)
        ]


def _sum_of_planes(mu, axes, spacing_mm, origin_mm, film, pixel_mm, rays, continued):
    """Return the sheared film ``(horizontal, vertical)``."""
    depth = mu.shape[axes[0]]
    away = origin_mm[axes[0]] - rays.centre[0] + np.arange(depth) * spacing_mm[axes[0]]
    scale = 1.0 + rays.inverse * away
    (columns, across), (rows, up) = (
        _shares(
            (rays.centre[axis] + rays.slope[axis] * away)[:, None]
            + scale[:, None] * film[axis - 1],
            pixel_mm * scale,
            origin_mm[axes[axis]],
            spacing_mm[axes[axis]],
            mu.shape[axes[axis]],
            continued,
        )
        for axis in (1, 2)
    )
    planes = np.arange(depth)[:, None, None]
    # The volume as a matrix: its rows are numbered along y, then x, its columns are z.
    step = {0: mu.shape[1], 1: 1}
    columns = columns * step[axes[1]] + planes * step[axes[0]]
    sideways = _sparse(across, columns, mu.shape[0] * mu.shape[1], depth * len(film[0]))
    part = (sideways @ mu.reshape(-1, mu.shape[2])).reshape(depth, len(film[0]), -1)
    # (depth, z, film's horizontal)
    part = np.ascontiguousarray(part.transpose(0, 2, 1))
    rows = (rows + planes * mu.shape[2]).transpose(1, 0, 2)
    upwards = _sparse(up.transpose(1, 0, 2), rows, depth * mu.shape[2], len(film[1]))
    total = (upwards @ part.reshape(-1, len(film[0]))).T
    lengths = np.sqrt(rays.squared_length(*film)) * spacing_mm[axes[0]]
    return total * lengths.astype(np.float32)


def _shares(places, widths, first, edge, count, continued):
    """Return the voxels that each pixel may overlap and their shares in its footprint.

    Both are ``(plane, pixel, overlapping voxel)``. The shares of a pixel inside the volume
    sum to 1; for a plane behind the source they are 0. A voxel beyond the volume has share 0,
    or is the outermost voxel where the volume is continued.
    """
    footprints = np.maximum(widths, edge)[:, None]
    start = np.ceil((places - (footprints + edge) / 2 - first) / edge).astype(np.int64)
    voxels = start[..., None] + np.arange(int(footprints.max() / edge) + 2)
    distance = np.abs((places - first)[..., None] - voxels * edge)
    shares = np.clip(((footprints + edge) / 2)[..., None] - distance, 0.0, edge)
    shares *= (np.where(widths > 0, 1.0, 0.0)[:, None] / footprints)[..., None]
    if continued:
        voxels = np.clip(voxels, 0, count - 1)
    else:
        shares[(voxels < 0) | (voxels >= count)] = 0.0
    return voxels, shares.astype(np.float32)


def _sparse(values, columns, width, height):
    """Return the matrix ``(height, width)`` of the positive values, which are row by row."""
    present = values > 0
    ends = np.cumsum(np.count_nonzero(present.reshape(height, -1), axis=1))
    return scipy.sparse.csr_array(
        (values[present], columns[present].astype(np.int32), np.append(np.int32(0), ends)),
        shape=(height, width),
    )


def _centred(count):
    """Return the indices of ``count`` pixels, relative to the middle."""
    return np.arange(count) - (count - 1) / 2
