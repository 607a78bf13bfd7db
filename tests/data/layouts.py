"""Small folders in the layouts of the public collections, with synthetic necks."""

import numpy as np

from tests.data.dicoms import write_series
from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck
from xctrs_tf.data.volumes.volume import Volume, write_volume
from xctrs_tf.geometry import VERTEBRAE


def write_pair(ct_file, labels_file, seed=0, number_of=None, spoil=None):
    """Write a neck and its labels.

    Args:
        ct_file: output file of the CT.
        labels_file: output file of the labels.
        seed: of the neck.
        number_of: new number of each label; None to keep the numbers.
        spoil: function that changes the labels in place; None for none.
    """
    ct, labels = (volume.array for volume in make_neck(seed))
    if spoil:
        spoil(labels)
    if number_of is not None:
        labels = number_of[labels]
    for file, array in ((ct_file, ct), (labels_file, labels)):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(file, array, SPACING_MM, ORIGIN_MM)


def without_c3(labels):
    """Remove C3 from the labels."""
    labels[labels == 3] = 0


def write_verse_bids(root, subject, part="", split="training", seed=0, spoil=None):
    """Write one scan of the complete release, such as ``sub-verse004_dir-ax_ct.nii.gz``."""
    stem = f"sub-{subject}{part}"
    write_pair(
        root / split / "rawdata" / f"sub-{subject}" / f"{stem}_ct.nii.gz",
        root / split / "derivatives" / f"sub-{subject}" / f"{stem}_seg-vert_msk.nii.gz",
        seed,
        spoil=spoil or with_t1_and_l1,
    )


def with_t1_and_l1(labels):
    """Add labels of T1 and L1, as VerSe and CTSpine1K number them."""
    labels[1:3, 1:3, 44], labels[5:7, 1:3, 44] = 8, 20


def write_totalsegmentator(root, patient, seed=0, spoil=None):
    """Write one patient of version 2: one mask for each class."""
    ct, labels = (volume.array for volume in make_neck(seed))
    if spoil:
        spoil(labels)
    folder = root / patient / "segmentations"
    folder.mkdir(parents=True)
    write_volume(root / patient / "ct.nii.gz", ct, SPACING_MM, ORIGIN_MM)
    for number, name in enumerate(VERTEBRAE, start=1):
        mask = (labels == number).astype(np.uint8)
        write_volume(folder / f"vertebrae_{name}.nii.gz", mask, SPACING_MM, ORIGIN_MM)
    write_volume(folder / "brain.nii.gz", np.zeros_like(labels), SPACING_MM, ORIGIN_MM)


def write_study(images, labels_file, seed=0, mirrored=None, **series):
    """Write a DICOM series and its labels; ``mirrored`` is an index that flips their array."""
    ct, labels = make_neck(seed)
    write_series(images, ct, **series)
    labels_file.parent.mkdir(parents=True, exist_ok=True)
    array = labels.array if mirrored is None else labels.array[mirrored]
    write_volume(labels_file, array, SPACING_MM, ORIGIN_MM)


def write_openkbp(folder, ct):
    """Write a CT ``[x, y, z]`` of 128^3 voxels as OpenKBP does: rows, columns, slices downwards."""
    folder.mkdir(parents=True)
    stored = ct.array.transpose(1, 0, 2)[:, :, ::-1].ravel() + 1000.0
    places = np.flatnonzero(stored > 0)
    lines = [f"{place},{stored[place]}" for place in places]
    (folder / "ct.csv").write_text("\n".join([",data", *lines, ""]), encoding="utf-8")
    x, y, z = ct.spacing_mm
    (folder / "voxel_dimensions.csv").write_text(
        f"{y:.18e}\n{x:.18e}\n{z:.18e}\n", encoding="utf-8"
    )


def openkbp_neck():
    """Return the CT, a neck in the corner of the grid of OpenKBP, and its labels."""
    ct, labels = make_neck()
    grid = np.full((128,) * 3, -1000, np.int16)
    place = tuple(slice(4, 4 + length) for length in ct.array.shape)
    grid[place] = ct.array
    origin_mm = tuple(4 * edge for edge in SPACING_MM)
    return Volume(grid, SPACING_MM, (0.0,) * 3), Volume(labels.array, SPACING_MM, origin_mm)


def assert_is_the_neck(raw, seed=0):
    """Assert that every voxel is in its place, and C1..C7 have their numbers."""
    ct, labels = make_neck(seed)
    np.testing.assert_array_equal(raw.ct.array, ct.array)
    np.testing.assert_array_equal(raw.labels.array, labels.array)
    np.testing.assert_allclose(raw.ct.spacing_mm, ct.spacing_mm)
    np.testing.assert_allclose(raw.ct.origin_mm, ct.origin_mm)
    assert raw.labels.array.dtype == np.uint8


def only_scan(source, patient):
    """Load the one scan that a patient has."""
    (scan,) = source.scans(patient)
    return source.load(scan)
