import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.ct_segmentation.scan import read_scan
from xctrs_tf.ct_segmentation.stitching import stitch
from xctrs_tf.errors import UserError

SPACING_MM = np.array((0.5, 0.7, 1.3))
ORIGIN_MM = np.array((-20.5, 31.25, 900.0))
# Sagittal slices, from left to right, head first.
SAGITTAL = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
OBLIQUE = Rotation.from_euler("xyz", (10, -5, 15), degrees=True).as_matrix()
ARRAY = np.random.default_rng(0).integers(-1000, 1500, (5, 12, 7), np.int16)


def read_part(folder, name, first, last, direction, array=ARRAY):
    """Write the voxels from one to another second index to a file of their own; read it."""
    origin_mm = ORIGIN_MM + direction[:, 1] * first * SPACING_MM[1]
    affine = lps_to_ras(SPACING_MM, origin_mm, direction)
    return read_scan(write_nifti(folder / f"{name}.nii", array[:, int(first) : last], affine))


@pytest.mark.parametrize("direction", [np.eye(3), SAGITTAL, OBLIQUE], ids=str)
@pytest.mark.parametrize("cut", [(5, 5), (6, 4)], ids=["adjoining", "overlapping"])
def test_parts_become_the_whole_on_its_own_grid(tmp_path, direction, cut):
    parts = [
        read_part(tmp_path, "b", cut[1], 12, direction),
        read_part(tmp_path, "a", 0, cut[0], direction),
    ]
    whole = read_part(tmp_path, "whole", 0, 12, direction)
    joined = stitch(parts)
    np.testing.assert_array_equal(joined.hu, whole.hu)
    np.testing.assert_array_equal(joined.to_stored(joined.hu), ARRAY)
    assert joined.grid.is_at(whole.grid, 1e-3)
    assert joined.stored.is_at(whole.stored, 1e-3)
    np.testing.assert_allclose(joined.stored.spacing_mm, SPACING_MM, rtol=1e-6)
    assert joined.name == f"{tmp_path / 'b.nii'}, {tmp_path / 'a.nii'}"


def test_a_single_part_is_the_scan(tmp_path):
    part = read_part(tmp_path, "a", 0, 12, np.eye(3))
    assert stitch([part]) is part


def test_parts_that_do_not_fit(tmp_path):
    first = read_part(tmp_path, "a", 0, 5, SAGITTAL)
    with pytest.raises(UserError, match=r"a\.nii: 2 voxels \(bottom to top\) are missing betw"):
        stitch([first, read_part(tmp_path, "b", 7, 12, SAGITTAL)])
    with pytest.raises(UserError, match=r"c\.nii: its voxels do not lie on the grid of"):
        stitch([first, read_part(tmp_path, "c", 5.3, 12, SAGITTAL)])
    with pytest.raises(UserError, match=r"differs from .* in \d+% of the voxels that both show"):
        stitch([first, read_part(tmp_path, "d", 3, 12, SAGITTAL, ARRAY[::-1])])
    offset_mm = first.grid.spacing_mm * (1, 0, 5)
    moved = dataclasses.replace(first.grid, origin_mm=first.grid.origin_mm + offset_mm)
    with pytest.raises(UserError, match="not above, below or beside"):
        stitch([first, dataclasses.replace(first, name="e", grid=moved)])
