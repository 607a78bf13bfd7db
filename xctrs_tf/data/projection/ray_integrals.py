"""Line integrals along the rays of a point source or along parallel rays, plane by plane.

On the film, each plane of the volume across the rays appears only scaled and
shifted: the footprint of a pixel on the plane is a rectangle along the volume's
axes. The film is therefore the sum over all planes ``V`` of ``H V W^T``, where the
small matrices ``H`` and ``W`` hold the overlap of pixels and voxels. For a turned
patient this still holds on a film parallel to the planes. The volume is projected
onto such a film (the sheared film), which is then resampled once onto the real
one. This is the shear-warp factorisation (Lacroute and Levoy, SIGGRAPH 1994) of the
distance-driven projector (De Man and Basu, Phys Med Biol 2004). `array_projection` makes the
same film faster, without gradients.
"""

import math

import numpy as np
from keras import ops

from xctrs_tf.geometry import RAY_AXIS

# A film turned by 15 degrees about each axis extends beyond the unturned film by less
# than this share of its longer edge, if the source is at least three edges away.
_MARGIN_SHARE = 1 / 4

# Generators of the rotations about x, y and z: cross products with the unit vectors.
_GENERATORS = np.array([np.cross(np.eye(3), axis) for axis in np.eye(3)], np.float32)


def project(
    mu,
    spacing_mm,
    origin_mm,
    view,
    pixels,
    pixel_mm,
    source_mm=None,
    rotation_deg=None,
    translation_mm=None,
):
    """Compute line integrals of attenuation through a volume, on a film at the isocentre.

    Positions are relative to the isocentre, which is at the film's centre. The
    central ray runs along y (AP) or x (LA), from the patient's front or right.
    A pixel wider than a voxel averages the voxels that it covers; for narrower
    pixels the planes are interpolated linearly.

    Args:
        mu: attenuation ``(x, y, z)`` or ``(batch, x, y, z)`` in 1/mm.
        spacing_mm: the three edges of a voxel.
        origin_mm: position of the centre of voxel ``[0, 0, 0]``.
        view: ``"ap"`` or ``"la"``.
        pixels: width and height of the film in pixels.
        pixel_mm: edge of a pixel at the isocentre.
        source_mm: distance from the source to the isocentre; None for parallel rays.
        rotation_deg: rotation of the volume about x, y, z, in this order: numbers
            or a tensor, at most 15 degrees about each axis; None for no rotation.
        translation_mm: translation of the volume after the rotation, numbers or a
            tensor; None for no translation.

    Returns:
        Line integrals (no unit), ``[horizontal, vertical]``, with the batch axis
        first where there was one. Differentiable with respect to ``mu`` and pose.
    """
    mu = ops.convert_to_tensor(mu, "float32")
    axes = (RAY_AXIS[view], 1 - RAY_AXIS[view], 2)
    turned = rotation_deg is not None
    to_patient = _rotation(rotation_deg, axes) if turned else ops.eye(3)
    shift = ops.zeros(3) if translation_mm is None else _permuted(translation_mm, axes)
    centre = -ops.matmul(to_patient, shift)
    margin = margin_of(pixels) if turned else 0
    film = [count + 2 * margin for count in pixels]
    rays = Rays(centre, to_patient[:, 0], 0.0 if source_mm is None else 1.0 / source_mm)

    batched = len(mu.shape) == 4
    planes = ops.transpose(
        mu if batched else mu[None], (0, *(axis + 1 for axis in axes))
    )  # (batch, depth, horizontal, vertical)
    sheared = _sum_of_planes(
        planes,
        [spacing_mm[axis] for axis in axes],
        [origin_mm[axis] for axis in axes],
        [_centred(count) * pixel_mm for count in film],
        pixel_mm,
        rays,
    )
    if turned:
        places = rays.on_sheared_film(to_patient, [_centred(count) * pixel_mm for count in pixels])
        sheared = _bilinear(
            sheared,
            *(
                place / pixel_mm + (count - 1) / 2
                for place, count in zip(places, film, strict=True)
            ),
        )
    return sheared if batched else sheared[0]


def margin_of(pixels):
    """Return the pixels on each side by which the sheared film of a turned patient is larger.

    Args:
        pixels: width and height of the real film.
    """
    return math.ceil(_MARGIN_SHARE * max(pixels))


class Rays:
    """Rays in the patient's frame, whose axes are depth, horizontal, vertical.

    The sheared film lies in the plane across the depth axis through ``centre``.
    From there a ray through the film's point ``q`` moves by ``slope + inverse * q``
    for each mm of depth. The distance of the source is used only as its inverse,
    which is 0 for parallel rays. Tensors and NumPy arrays are taken alike.
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


def _sum_of_planes(planes, spacing_mm, origin_mm, film, pixel_mm, rays):
    """Return the sheared film ``(batch, horizontal, vertical)``."""
    depth, *counts = planes.shape[1:]
    away = origin_mm[0] - rays.centre[0] + ops.arange(depth, dtype="float32") * spacing_mm[0]
    scale = 1.0 + rays.inverse * away
    shares = [
        _shares(
            rays.centre[axis] + film[axis - 1] * scale[:, None] + rays.slope[axis] * away[:, None],
            pixel_mm * scale,
            origin_mm[axis] + ops.arange(counts[axis - 1], dtype="float32") * spacing_mm[axis],
            spacing_mm[axis],
        )
        for axis in (1, 2)
    ]
    rows = ops.matmul(shares[0], planes)  # (batch, depth, film's horizontal, volume's vertical)
    total = ops.einsum("bjhz,jvz->bhv", rows, shares[1])
    return total * ops.sqrt(rays.squared_length(*film)) * spacing_mm[0]


def _shares(places, widths, voxels, edge):
    """Return the share of each voxel in each pixel's footprint, ``(plane, pixel, voxel)``.

    The shares of a pixel inside the volume sum to 1. For a plane behind the source
    they are 0.
    """
    seen = ops.cast(widths > 0, "float32")[:, None, None]
    widths = ops.maximum(widths, edge)[:, None]
    # Divided by the footprint before the difference, to keep the numbers small.
    edge = (edge / widths)[:, :, None] * seen
    distance = ops.abs((places / widths)[:, :, None] - (voxels / widths)[:, None, :])
    return ops.relu(ops.minimum((1.0 + edge) / 2 - distance, edge))


def _bilinear(film, row, column):
    """Sample ``(batch, rows, columns)`` at real-valued indices, clipped to the film."""
    height, width = film.shape[1:]
    row = ops.clip(row, 0.0, height - 1.001)
    column = ops.clip(column, 0.0, width - 1.001)
    flat = ops.reshape(film, (-1, height * width))
    top, left = ops.floor(row), ops.floor(column)
    down, right = row - top, column - left
    corner = ops.cast(top, "int32") * width + ops.cast(left, "int32")
    return (
        ops.take(flat, corner, axis=1) * (1 - down) * (1 - right)
        + ops.take(flat, corner + 1, axis=1) * (1 - down) * right
        + ops.take(flat, corner + width, axis=1) * down * (1 - right)
        + ops.take(flat, corner + width + 1, axis=1) * down * right
    )


def _rotation(degrees, axes):
    """Return the matrix from the room's frame to the turned patient's, in the order ``axes``.

    It is differentiable with respect to the angles, unlike SciPy's `Rotation`.
    """
    angles = ops.convert_to_tensor(degrees, "float32") * (math.pi / 180)
    matrix = ops.eye(3)
    for axis, generator in enumerate(_GENERATORS):
        plane = -generator @ generator
        turn = ops.cos(angles[axis]) * plane + ops.sin(angles[axis]) * generator
        matrix = ops.matmul(turn + (np.eye(3, dtype="float32") - plane), matrix)
    return ops.stack([_permuted(matrix[:, axis], axes) for axis in axes])


def _permuted(values, axes):
    values = ops.convert_to_tensor(values, "float32")
    return ops.stack([values[axis] for axis in axes])


def _centred(count):
    """Return the indices of ``count`` pixels, relative to the middle."""
    return ops.arange(count, dtype="float32") - (count - 1) / 2
