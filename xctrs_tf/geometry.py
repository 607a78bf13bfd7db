"""Axes of all arrays, views, anatomical planes, labels and network sizes.

Patient axes are LPS, as in DICOM and SimpleITK: x increases to the patient's Left,
y to Posterior, z to Superior. Every array is indexed in that order:

* volume ``[x, y, z]`` (the paper's X_CT, Y_CT, Z_CT),
* AP film ``[x, z]``: the rays run along y,
* LA film ``[y, z]``: the rays run along x.

Batches put the patient first and channels last: ``(batch, x, y, z, channel)``.
After pixel shuffle a view's feature is ``(batch, horizontal, vertical, depth,
channel)`` with its depth along the rays; Eq. 6 permutes it to the volume's axes.
"""

import math

VIEWS = ("ap", "la")

# Axis of a volume array [x, y, z] along which the rays of each view run.
RAY_AXIS = {"ap": 1, "la": 0}

# Axes of a view's feature (horizontal, vertical, depth) that become x, y and z of the
# volume: AP is [x, z, depth=y], LA is [y, z, depth=x]. Ge et al. (2022), Eq. 6.
VIEW_TO_VOLUME = {"ap": (0, 2, 1), "la": (2, 0, 1)}

# The anatomical planes and the volume axis across each of them.
PLANE_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}

# Labels of a segmentation: 0 is background, 1..7 are C1..C7.
VERTEBRAE = ("C1", "C2", "C3", "C4", "C5", "C6", "C7")
NUM_CLASSES = 1 + len(VERTEBRAE)

# Volume sizes, in voxels a side, that the networks are built for.
SIZES = (32, 64, 128)


def screen(plane, name):
    """Orient a 2D array ``[horizontal, vertical]`` for drawings and image files.

    Coronal, sagittal and film arrays have z as their second axis, which points
    up on a screen. An axial array ``[x, y]`` keeps y downwards, as radiologists
    view it: anterior on top, the patient's right on the left.

    Args:
        plane: array ``[horizontal, vertical]``.
        name: ``"axial"``, ``"coronal"``, ``"sagittal"``, ``"ap"`` or ``"la"``.

    Returns:
        View of the array as ``[row, column]``.
    """
    rows = plane.swapaxes(0, 1)
    return rows if name == "axial" else rows[::-1]


def rotation_matrix(degrees):
    """Return the matrix of the right-handed rotation about x, then y, then z.

    Args:
        degrees: three angles.

    Returns:
        float64 ``(3, 3)``.
    """
    # SciPy takes time to load, and most of who imports this module turns nothing.
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def centred_origin(size, spacing_mm):
    """Return the position of the centre of voxel ``[0, 0, 0]`` of a cube around the origin.

    Args:
        size: voxels a side.
        spacing_mm: edge of a voxel.

    Returns:
        ``(x, y, z)`` in mm.
    """
    return (-(size - 1) / 2 * spacing_mm,) * 3


def is_same_spacing(spacing_mm, other_mm):
    """Return whether two voxel sizes are equal to 1 %."""
    return math.isclose(spacing_mm, other_mm, rel_tol=0.01)
