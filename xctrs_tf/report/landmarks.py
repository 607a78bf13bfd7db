"""Bodies, end plates and the atlanto-dental joint in a label volume.

Everything is read in a slab around the midline: there the spinal canal parts the
body from the arch, and neither pedicles nor uncinate processes are in the way.
Coordinates are mm along the axes of the volume, from the centre of voxel
``[0, 0, 0]``.
"""

import dataclasses

import numpy as np
from scipy import ndimage

# Half the slab: a body is at least 15 mm wide, its rims 3 mm on either side.
HALF_SLAB_MM = 4.0
# Where an end plate is fitted, as distances from its middle in shares of its depth:
# on both rims, as a radiologist draws the line, since its middle is hollow.
RIMS = (0.2, 0.45)
# Voxels so near to a plate tell where the walls are; C2's dens leans out of them.
NEAR_PLATE_MM = 8.0
# Quantiles of depth that stand for the front and the back wall, spurs left out.
WALLS = (0.02, 0.98)
FIT_ROUNDS = 8
# A piece smaller than this share of a vertebra's slab is neither body nor arch.
MIN_SHARE = 0.08
# Columns, and their depth in voxels, without which a slope is that of the grid's steps.
MIN_COLUMNS = 6
MIN_DEPTH = 3
# Rays through arch and dens, without which a height is none of the joint's.
MIN_JOINT_RAYS = 2
# Coarser voxels make the angle between end plates that of the grid's steps.
MAX_ANGLE_SPACING_MM = 1.5


class NotFound(Exception):
    """A landmark that these labels do not show; the message says why."""


@dataclasses.dataclass(frozen=True)
class EndPlate:
    """A plane ``z = height + slope_x * (x - x0) + slope_y * (y - y0)``, in mm.

    Attributes:
        centre: ``(x0, y0, height)``.
        slopes: ``(slope_x, slope_y)``.
    """

    centre: np.ndarray
    slopes: np.ndarray

    @property
    def normal(self):
        """Unit vector upwards."""
        normal = np.array([-self.slopes[0], -self.slopes[1], 1.0])
        return normal / np.linalg.norm(normal)

    @property
    def sagittal_tilt_deg(self):
        """Angle to the horizontal from the side: positive if the front is higher."""
        return float(np.degrees(np.arctan(-self.slopes[1])))


def body_mask(mask, spacing_mm):
    """The midline slab of a vertebra's body.

    Args:
        mask: bool ``[x, y, z]`` of one vertebra.
        spacing_mm: edge of a voxel.

    Returns:
        bool array of the same shape: of the large pieces in the slab, the foremost.

    Raises:
        NotFound: body and arch are one piece, or there is no arch.
    """
    pieces = _slab_pieces(mask, spacing_mm)
    if len(pieces) < 2:
        raise NotFound("the labels do not part the body from the arch at the midline")
    return pieces[0]


def end_plate(body, spacing_mm, side):
    """Fit the plane of an end plate.

    Args:
        body: `body_mask` of a vertebra.
        spacing_mm: edge of a voxel.
        side: ``"upper"`` or ``"lower"``.

    Returns:
        `EndPlate`.

    Raises:
        NotFound: too few voxels to tell a slope.
    """
    surface = _surface(body, side) * spacing_mm
    voxels = np.argwhere(body) * spacing_mm
    plate = EndPlate(np.median(surface, axis=0), np.zeros(2))
    # Which columns end at the plate, and which at a wall, depends on the tilt.
    for _ in range(FIT_ROUNDS):
        rims = surface[_on_rims(surface, voxels, plate)]
        depth = np.ptp(rims[:, 1]) / spacing_mm if len(rims) else 0
        if len(rims) < MIN_COLUMNS or depth < MIN_DEPTH - 0.5:
            raise NotFound("the body is too few voxels deep to fit its end plates")
        centre = rims.mean(axis=0)
        offsets = rims - centre
        slopes, *_ = np.linalg.lstsq(offsets[:, :2], offsets[:, 2], rcond=None)
        plate = EndPlate(centre, slopes)
    return plate


def _surface(body, side):
    """Where each column of the body ends: points in voxels, half a voxel off its last centre."""
    x, y = np.nonzero(body.any(axis=2))
    if side == "lower":
        edge = body[x, y].argmax(axis=1) - 0.5
    else:
        edge = body.shape[2] - 0.5 - body[x, y, ::-1].argmax(axis=1)
    return np.stack([x, y, edge], axis=1)


def _on_rims(points, voxels, plate):
    """Which points lie on the front and back rim of a plate, in its own tilted axes."""
    backwards = np.array([0.0, 1.0, plate.slopes[1]])
    backwards /= np.linalg.norm(backwards)
    near = np.abs((voxels - plate.centre) @ plate.normal) <= NEAR_PLATE_MM
    depths = voxels[near] @ backwards
    low, high = np.quantile(depths, WALLS) if len(depths) else (0.0, 0.0)
    share = (points @ backwards - low) / max(high - low, 1e-9)
    on_plate = np.abs((points - plate.centre) @ plate.normal) <= NEAR_PLATE_MM / 2
    off_middle = np.abs(share - 0.5)
    return on_plate & (off_middle >= RIMS[0]) & (off_middle <= RIMS[1])


def body_height(mask, spacing_mm):
    """Distance between a body's end plates, along the normal that they share.

    Args:
        mask: bool ``[x, y, z]`` of one vertebra with a body.
        spacing_mm: edge of a voxel.

    Returns:
        float, mm. For C2 the dens is part of it.

    Raises:
        NotFound: no body, or too few voxels.
    """
    body = body_mask(mask, spacing_mm)
    upper, lower = (end_plate(body, spacing_mm, side) for side in ("upper", "lower"))
    normal = upper.normal + lower.normal
    return float((upper.centre - lower.centre) @ normal / np.linalg.norm(normal))


def sagittal_angle_deg(upper, lower, spacing_mm):
    """Angle between the lower end plates of two vertebrae, seen from the side.

    Args:
        upper: bool ``[x, y, z]`` of the upper vertebra.
        lower: bool ``[x, y, z]`` of the lower one.
        spacing_mm: edge of a voxel.

    Returns:
        float, degrees; positive if the column between them is lordotic.

    Raises:
        NotFound: voxels too coarse for an angle, or an end plate is not found.
    """
    if spacing_mm > MAX_ANGLE_SPACING_MM:
        raise NotFound(f"voxels of {spacing_mm:g} mm are too coarse for an angle")
    tilts = [
        end_plate(body_mask(mask, spacing_mm), spacing_mm, "lower").sagittal_tilt_deg
        for mask in (upper, lower)
    ]
    return tilts[0] - tilts[1]


def axis_height(mask, spacing_mm):
    """Height of C2 from its lower end plate to the tip of the dens.

    Args:
        mask: bool ``[x, y, z]`` of C2.
        spacing_mm: edge of a voxel.

    Returns:
        float, mm, along the normal of the lower end plate.

    Raises:
        NotFound: no body, or too few voxels.
    """
    body = body_mask(mask, spacing_mm)
    lower = end_plate(body, spacing_mm, "lower")
    heights = (np.argwhere(body) * spacing_mm - lower.centre) @ lower.normal
    return float(heights.max() + spacing_mm / 2)


def atlantodental_interval(atlas, axis, spacing_mm):
    """Gap between the anterior arch of C1 and the dens.

    Args:
        atlas: bool ``[x, y, z]`` of C1.
        axis: bool ``[x, y, z]`` of C2.
        spacing_mm: edge of a voxel.

    Returns:
        float, mm, at the height where it is narrowest: the mean over the rays from
        front to back, near the midline, that cross both.

    Raises:
        NotFound: no anterior arch, no dens behind it, or both touch.
    """
    pieces = _slab_pieces(atlas, spacing_mm)
    if not pieces:
        raise NotFound("C1 has no voxels at the midline")
    arch = pieces[0]
    x_mid = np.argwhere(body_mask(axis, spacing_mm))[:, 0].mean()
    near = np.abs(np.arange(arch.shape[0]) - x_mid) * spacing_mm <= HALF_SLAB_MM / 2
    arch, dens = arch[near], axis[near]
    behind_arch = arch.shape[1] - arch[:, ::-1].argmax(axis=1)
    both = arch.any(axis=1) & dens.any(axis=1)
    heights = np.flatnonzero(both.sum(axis=0) >= MIN_JOINT_RAYS)
    if not len(heights):
        raise NotFound("the anterior arch of C1 does not lie before the dens")
    gaps = dens.argmax(axis=1) - behind_arch
    narrowest = min(gaps[both[:, z], z].mean() for z in heights)
    if narrowest < 0.5:
        raise NotFound("the arch of C1 and the dens touch: the gap is narrower than a voxel")
    return float(narrowest * spacing_mm)


def _slab_pieces(mask, spacing_mm):
    """Large connected pieces of a vertebra at its midline, the foremost first."""
    x_mid = np.argwhere(mask)[:, 0].mean()
    # Of a coarse grid at least one plane on either side, since a slope needs several.
    half = max(HALF_SLAB_MM, 1.01 * spacing_mm)
    slab = np.zeros_like(mask)
    near = np.abs(np.arange(mask.shape[0]) - x_mid) * spacing_mm <= half
    slab[near] = mask[near]
    pieces, count = ndimage.label(slab)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = [index for index in range(1, count + 1) if sizes[index - 1] >= MIN_SHARE * slab.sum()]
    return sorted(
        (pieces == index for index in large), key=lambda piece: np.argwhere(piece)[:, 1].mean()
    )
