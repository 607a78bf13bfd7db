"""Synthetic scans with seven labelled boxes, for the tests of cropping and preparing."""

import numpy as np

from xctrs_tf.data.volumes.volume import Volume, write_volume

SPACING_MM = (2.0, 1.5, 2.5)
ORIGIN_MM = (-30.0, 12.0, 100.0)
SHAPE = (40, 52, 46)


def make_neck(seed=0, box=(slice(6, 27), slice(9, 33))):
    """Return CT and labels: C7 lowest, each vertebra a box 4 voxels high, in soft tissue and air.

    The dens of C2 is a bar of 3 x 3 voxels in the midline that stands in C1, as high as C1.

    Args:
        seed: number of the patient, whose bones lie so many voxels further back.
        box: slices of every vertebra along x and y.
    """
    rng = np.random.default_rng(seed)
    ct = np.full(SHAPE, -1000, np.int16)
    ct[4:36, 6:48] = rng.integers(20, 60, (32, 42, SHAPE[2]))
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(1, 8):
        bottom = 5 + 5 * (7 - number)
        back = slice(box[1].start + seed, box[1].stop + seed)
        bone = (box[0], back, slice(bottom, bottom + 4))
        ct[bone] = 600 + number
        labels[bone] = number
    middle, front = (box[0].start + box[0].stop) // 2, box[1].start + seed + 2
    dens = (slice(middle - 1, middle + 2), slice(front, front + 3), slice(34, 39))
    ct[dens], labels[dens] = 602, 2
    return Volume(ct, SPACING_MM, ORIGIN_MM), Volume(labels, SPACING_MM, ORIGIN_MM)


def write_neck(folder, name, seed=0):
    """Write a neck as `<name>_ct.nii.gz` and `<name>_seg.nii.gz`."""
    for volume, suffix in zip(make_neck(seed), ("ct", "seg"), strict=True):
        write_volume(folder / f"{name}_{suffix}.nii.gz", volume.array, SPACING_MM, ORIGIN_MM)
