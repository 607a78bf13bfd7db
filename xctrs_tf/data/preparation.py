"""From a raw patient to a `Case`: check and crop, then project."""

import numpy as np

from xctrs_tf.data.cervical import check_labels, crop_to_frame
from xctrs_tf.data.dataset import Case
from xctrs_tf.data.volumes import Volume
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS


def crop_patient(source, patient, size, spacing_mm):
    """Read one patient and bring it into the frame.

    Args:
        source: an object of `xctrs_tf.data.sources`.
        patient: one of its ids.
        size: voxels a side.
        spacing_mm: wanted voxel size; it grows where C1..C7 do not fit.

    Returns:
        `Volume` of the CT (int16 HU), `Volume` of the labels (uint8), and the
        dict of the source for the manifest.

    Raises:
        UserError: the patient cannot be used, and why.
    """
    record = source.record(patient)
    raw = source.load(patient)
    reason = check_labels(raw.labels)
    if reason:
        raise UserError(f"{record['source_file']}: {reason}")
    ct, labels, spacing_mm, origin_mm = crop_to_frame(raw.ct, raw.labels, size, spacing_mm)
    grid = ((spacing_mm,) * 3, origin_mm)
    return Volume(ct, *grid), Volume(labels, *grid), record


def make_case(patient, ct, segmentation):
    """Project a cropped patient.

    Args:
        patient: its id.
        ct: `Volume` in HU, of isotropic voxels.
        segmentation: `Volume` of labels on the same grid.

    Returns:
        `Case`.
    """
    # Keras takes seconds to load; bad patients and worker processes need none.
    from xctrs_tf.data.drr import hu_to_mu, parallel_projection

    spacing_mm = ct.spacing_mm[0]
    mu = hu_to_mu(ct.array)
    films = {view: np.array(parallel_projection(mu, spacing_mm, view)) for view in VIEWS}
    return Case(
        id=patient,
        ct=ct.array,
        segmentation=segmentation.array,
        **films,
        spacing_mm=spacing_mm,
        origin_mm=ct.origin_mm,
    )
