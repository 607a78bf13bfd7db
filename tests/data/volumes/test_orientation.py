"""A patient gives the same bytes in any axis order and with any flips."""

import hashlib
import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from tests.data.cases import CONFIGURATION
from tests.data.necks import make_neck
from xctrs_tf.data.dataset.dataset_writer import DatasetWriter
from xctrs_tf.data.dataset.preparation import crop_patient, make_case
from xctrs_tf.data.sources.nifti import NiftiSource

# Spacings and origin that float32 cannot hold exactly, as in real headers.
SPACING_MM = (2.1, 1.3, 2.3)
ORIGIN_MM = (-31.7, 12.3, 1007.9)
ORDERS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def write_reordered(path, array, axes, flips):
    """Write a volume with its axes in another order and some of them reversed.

    Index ``i`` of the file runs along the LPS axis ``axes[i]``, and against it where
    flipped. Origin and direction in the header keep every voxel at its position.
    """
    stored = array.transpose(axes)
    direction = np.zeros((3, 3))
    origin = np.array(ORIGIN_MM)
    for index, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        direction[axis, index] = -1.0 if flip else 1.0
        if flip:
            stored = np.flip(stored, index)
            origin[axis] += SPACING_MM[axis] * (array.shape[axis] - 1)
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored.T))
    image.SetSpacing([SPACING_MM[axis] for axis in axes])
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, path)


def bytes_of(folder, axes, flips):
    """Prepare a patient whose files have this order; return two hashes.

    Returns:
        SHA-256 of the prepared file, and the image hash in its record.
    """
    folder.mkdir()
    for volume, suffix in zip(make_neck(), ("ct", "seg"), strict=True):
        write_reordered(folder / f"a_{suffix}.nii.gz", volume.array, axes, flips)
    cropped, reasons = crop_patient(NiftiSource(folder), "a", 32, 3.0)
    assert reasons == []
    writer = DatasetWriter(folder / "out", {**CONFIGURATION, "size": 32})
    writer.add(make_case("a", cropped), {**cropped.record, "source_file": "a"})
    content = (folder / "out" / "patients" / "a.npz").read_bytes()
    return hashlib.sha256(content).hexdigest(), cropped.record["image_sha256"]


@pytest.fixture(scope="module")
def as_drawn(tmp_path_factory):
    return bytes_of(tmp_path_factory.mktemp("neck") / "lps", (0, 1, 2), (False,) * 3)


@pytest.mark.parametrize(("axes", "flips"), ORDERS)
def test_every_axis_order_and_flip_gives_the_same_bytes(tmp_path, as_drawn, axes, flips):
    assert bytes_of(tmp_path / "set", axes, flips) == as_drawn
