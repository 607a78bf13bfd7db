"""Grids of voxels in space: from the affine matrix of a header to right-angled axes."""

import dataclasses

import numpy as np

from xctrs_tf.errors import UserError

# Voxels of a CT of a patient, in mm; beyond are lost units and damaged headers.
VOXEL_MM = (0.02, 20.0)
# No table moves farther.
MAX_POSITION_MM = 1e5
# A header is rounded, or a scan was registered: up to this angle the axes are made
# right-angled, which moves a voxel 10 cm from the centre by 0.4 mm.
MAX_SHEAR_DEG = 0.5
# A grid is along the axes if no corner is off by more than this share of a voxel.
_UPRIGHT_VOXEL = 0.1
# Labels are on the grid of their CT up to this share: one header may be rounded, or sheared
# and made right-angled, and half a voxel is another grid.
_SAME_VOXEL = 0.25


@dataclasses.dataclass(frozen=True)
class Grid:
    """Place of every voxel of a volume.

    Attributes:
        shape: voxels along each index.
        direction: ``3 x 3``; column ``i`` is the LPS direction of index ``i``.
        spacing_mm: ``(3,)``, voxel size along each index.
        origin_mm: ``(3,)``, LPS position of the centre of voxel ``[0, 0, 0]``.
    """

    shape: tuple
    direction: np.ndarray
    spacing_mm: np.ndarray
    origin_mm: np.ndarray

    def corners_mm(self):
        """Return the LPS positions of the eight outermost voxels, ``(8, 3)``."""
        indices = np.array(list(np.ndindex(2, 2, 2))) * (np.array(self.shape) - 1)
        return self.origin_mm + indices * self.spacing_mm @ self.direction.T

    def is_at(self, other, share=_SAME_VOXEL):
        """Return whether the voxels of another grid of this shape lie on the own.

        Args:
            other: a `Grid`.
            share: how far a corner may be off, in voxels.
        """
        if self.shape != other.shape:
            return False
        off = np.linalg.norm(self.corners_mm() - other.corners_mm(), axis=1).max()
        return bool(off <= share * self.spacing_mm.min())

    def turned(self, direction):
        """Return the grid turned about its centre to another direction."""
        half_mm = (np.array(self.shape) - 1) / 2 * self.spacing_mm
        origin_mm = self.origin_mm + (self.direction - direction) @ half_mm
        return dataclasses.replace(self, direction=direction, origin_mm=origin_mm)


def make_grid(path, shape, affine):
    """Return the grid of an affine matrix; make its axes right-angled where they nearly are.

    Args:
        path: the file, for the error.
        shape: voxels along each of three indices.
        affine: ``3 x 4``, from index to LPS position in mm.

    Returns:
        `Grid`.

    Raises:
        UserError: voxels or positions that no CT has, or axes that are not at right angles.
    """
    affine = np.asarray(affine, float)
    if not np.isfinite(affine).all():
        raise UserError(f"{path}: its header has positions that are not finite; correct it")
    with np.errstate(over="ignore"):
        spacing_mm = np.linalg.norm(affine[:, :3], axis=0)
    check_voxel_mm(path, spacing_mm)
    origin_mm = affine[:, 3]
    if np.abs(origin_mm).max() > MAX_POSITION_MM:
        raise UserError(
            f"{path}: it begins {np.abs(origin_mm).max() / 1000:.3g} m from the scanner's centre; "
            "correct its header"
        )
    grid = Grid(tuple(shape), affine[:, :3] / spacing_mm, spacing_mm, origin_mm)
    cosines = grid.direction.T @ grid.direction - np.eye(3)
    shear_deg = np.rad2deg(np.arcsin(min(1.0, np.abs(cosines).max())))
    if shear_deg > MAX_SHEAR_DEG:
        raise UserError(
            f"{path}: its axes are {shear_deg:.1f} degrees off a right angle (sheared, as by a "
            "tilted gantry); resample it to right angles"
        )
    if np.abs(cosines).max() < 1e-6:
        return grid
    left, _, right = np.linalg.svd(grid.direction)
    return grid.turned(left @ right)


def check_voxel_mm(path, spacing_mm):
    """Refuse voxels of a size that no CT has.

    Args:
        path: the file, for the error.
        spacing_mm: voxel size along each axis in mm.

    Raises:
        UserError: one is outside of `VOXEL_MM`.
    """
    for edge in spacing_mm:
        if not VOXEL_MM[0] <= edge <= VOXEL_MM[1]:
            raise UserError(
                f"{path}: a voxel size of {edge:g} mm, where CTs have {VOXEL_MM[0]:g} to "
                f"{VOXEL_MM[1]:g} mm; correct its header (size and unit)"
            )


def to_lps(array, grid):
    """Exchange and flip axes so that they run along LPS as nearly as possible.

    Args:
        array: ``[i, j, k]``.
        grid: its `Grid`.

    Returns:
        A view of the array, and its `Grid`; no value and no position changes.
    """
    axes = _nearest_axes(grid.direction)
    array = array.transpose(axes)
    direction, spacing_mm = grid.direction[:, axes], grid.spacing_mm[list(axes)]
    signs = np.where(np.diag(direction) < 0, -1, 1)
    array = array[tuple(slice(None, None, sign) for sign in signs)]
    last_mm = (np.array(array.shape) - 1) * spacing_mm
    origin_mm = grid.origin_mm + direction @ np.where(signs < 0, last_mm, 0.0)
    return array, Grid(array.shape, direction * signs, spacing_mm, origin_mm)


def along_axes(grid):
    """Return a grid turned to the LPS axes, or None where that would move voxels."""
    upright = grid.turned(np.eye(3))
    return upright if grid.is_at(upright, _UPRIGHT_VOXEL) else None


def _nearest_axes(direction):
    """Return for each LPS axis the index that runs along it, the clearest pair first."""
    clearness = np.abs(direction)
    axes = [0, 0, 0]
    for _ in range(3):
        patient, index = np.unravel_index(np.argmax(clearness), (3, 3))
        axes[patient] = int(index)
        clearness[patient], clearness[:, index] = -1.0, -1.0
    return tuple(axes)
