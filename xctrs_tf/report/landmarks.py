"""Landmarks in a label volume: bodies, end plates and the atlanto-dental joint.

They are found in a slab around the midline, where the spinal canal separates the body
from the arch and there are no pedicles or uncinate processes. Coordinates are in mm
along the axes of the volume, from the centre of voxel ``[0, 0, 0]``.
"""

import dataclasses

import numpy as np
import scipy

# Half the slab's width. A body is at least 15 mm wide, with rims of 3 mm at either side.
HALF_SLAB_MM = 4.0
# Distances from the middle of an end plate, in shares of its depth, between which it is
# fitted: both rims, as a radiologist draws the line, since its middle is hollow.
RIMS = (0.2, 0.45)
# Voxels this near to a plate define its walls; further off, C2's dens leans over them.
NEAR_PLATE_MM = 8.0
# Quantiles of depth taken as the front and the back wall, which leaves spurs out.
WALLS = (0.02, 0.98)
FIT_ROUNDS = 8
# A piece smaller than this share of a vertebra's slab is neither body nor arch.
MIN_SHARE = 0.08
# Fewer columns, or a smaller depth in voxels, give the slope of the voxel grid.
MIN_COLUMNS = 6
MIN_DEPTH = 3
# A height belongs to the joint if at least this many rays cross both arch and dens.
MIN_JOINT_RAYS = 2
# With coarser voxels, the angle between end plates is that of the voxel grid.
MAX_ANGLE_SPACING_MM = 1.5
# The atlanto-dental interval is 1 to 3 mm in adults.
MAX_JOINT_SPACING_MM = 1.0


class NotFound(Exception):
    """Landmark not found in these labels; the message gives the reason."""


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
        """Unit normal, pointing up."""
        normal = np.array([-self.slopes[0], -self.slopes[1], 1.0])
        return normal / np.linalg.norm(normal)

    @property
    def sagittal_tilt_deg(self):
        """Angle to the horizontal seen from the side, positive if the front is higher."""
        return float(np.degrees(np.arctan(-self.slopes[1])))


def body_mask(mask, spacing_mm):
    """Return the midline slab of a vertebra's body.

    Args:
        mask: bool ``[x, y, z]`` of one vertebra.
        spacing_mm: edge of a voxel.

    Returns:
        bool array of the same shape: the foremost of the large pieces in the slab.

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
        NotFound: too few voxels for a slope.
    """
    surface = _surface(body, side) * spacing_mm
    voxels = np.argwhere(body) * spacing_mm
    plate = EndPlate(np.median(surface, axis=0), np.zeros(2))
    # The tilt decides which columns end at the plate and which at a wall.
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
    """Return the end of each column of the body: points in voxels, at the voxels' faces."""
    x, y = np.nonzero(body.any(axis=2))
    if side == "lower":
        edge = body[x, y].argmax(axis=1) - 0.5
    else:
        edge = body.shape[2] - 0.5 - body[x, y, ::-1].argmax(axis=1)
    return np.stack([x, y, edge], axis=1)


def _on_rims(points, voxels, plate):
    """Select the points on the front and back rims of a plate, in its own tilted axes."""
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
    """Return the distance between a body's end plates, along their mean normal.

    Args:
        mask: bool ``[x, y, z]`` of one vertebra with a body.
        spacing_mm: edge of a voxel.

    Returns:
        float, mm.

    Raises:
        NotFound: no body, or too few voxels.
    """
    body = body_mask(mask, spacing_mm)
    upper, lower = (end_plate(body, spacing_mm, side) for side in ("upper", "lower"))
    normal = upper.normal + lower.normal
    return float((upper.centre - lower.centre) @ normal / np.linalg.norm(normal))


def sagittal_angle_deg(upper, lower, spacing_mm):
    """Return the angle between the lower end plates of two vertebrae, seen from the side.

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
    """Return the height of C2 from its lower end plate to the tip of the dens.

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
    """Return the gap between the anterior arch of C1 and the dens.

    Args:
        atlas: bool ``[x, y, z]`` of C1.
        axis: bool ``[x, y, z]`` of C2.
        spacing_mm: edge of a voxel.

    Returns:
        float, mm, at the height where the gap is narrowest: mean over the rays near
        the midline, from front to back, that cross both.

    Raises:
        NotFound: coarse voxels, no anterior arch, no dens behind it, or both touch.
    """
    if spacing_mm > MAX_JOINT_SPACING_MM:
        raise NotFound(f"voxels of {spacing_mm:g} mm are too coarse for this gap")
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
    """Return the large connected pieces of a vertebra at its midline, the foremost first."""
    x_mid = np.argwhere(mask)[:, 0].mean()
    # At least one plane on either side in a coarse grid, since a slope needs several.
    half = max(HALF_SLAB_MM, 1.01 * spacing_mm)
    slab = np.zeros_like(mask)
    near = np.abs(np.arange(mask.shape[0]) - x_mid) * spacing_mm <= half
    slab[near] = mask[near]
    pieces, count = scipy.ndimage.label(slab)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = [index for index in range(1, count + 1) if sizes[index - 1] >= MIN_SHARE * slab.sum()]
    return sorted(
        (pieces == index for index in large), key=lambda piece: np.argwhere(piece)[:, 1].mean()
    )
