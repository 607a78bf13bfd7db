"""Parts of one scan, in files of their own, as one scan again."""

import dataclasses

import numpy as np

from xctrs_tf.ct_segmentation.scan import Scan
from xctrs_tf.data.scan_parts import join_arrays, joint_of


def stitch(scans):
    """Join the parts of one scan.

    Args:
        scans: list of `Scan` in any order; they adjoin or overlap along one axis.

    Returns:
        `Scan` of the whole, its indices in the order of the first file's; the very scan where
        there is only one.

    Raises:
        UserError: the parts do not fit in space, or differ where they overlap.
    """
    first = scans[0]
    if len(scans) == 1:
        return first
    joint = joint_of([(scan.name, scan.grid) for scan in scans])
    hu = join_arrays(joint, [(scan.name, scan.hu) for scan in scans])
    whole = Scan(", ".join(scan.name for scan in scans), hu, joint.grid, first.stored)
    return dataclasses.replace(whole, stored=_stored_grid(joint.grid, *whole.index_order()))


def _stored_grid(grid, axes, signs):
    """Return a grid with its indices exchanged and turned round."""
    last_mm = (np.array(grid.shape) - 1) * grid.spacing_mm
    turned = np.zeros(3, bool)
    turned[axes] = signs < 0
    return dataclasses.replace(
        grid,
        shape=tuple(grid.shape[axis] for axis in axes),
        direction=grid.direction[:, axes] * signs,
        spacing_mm=grid.spacing_mm[axes],
        origin_mm=grid.origin_mm + grid.direction @ np.where(turned, last_mm, 0.0),
    )
