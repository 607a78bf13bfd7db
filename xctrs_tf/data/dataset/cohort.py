"""Preparing all patients of a source, one by one, whatever befalls some of them."""

import functools

from xctrs_tf.data.dataset.dataset_writer import rejections
from xctrs_tf.data.dataset.preparation import crop_patient, make_case
from xctrs_tf.errors import UserError


def prepare_cohort(source, ids, writer, size, spacing_mm, simulation, spread=map, watch=iter):
    """Prepare and write every patient that is not written yet.

    The patients are written in the order of their ids, so that the same input
    gives the same folder however many processes work on it.

    Args:
        source: an object of `xctrs_tf.data.sources`.
        ids: which of its patients, sorted.
        writer: a `DatasetWriter`.
        size: voxels a side.
        spacing_mm: wanted voxel size.
        simulation: `FilmSimulation`.
        spread: a ``map`` that keeps the order, over processes perhaps.
        watch: called with the list of patients to prepare; what it returns is
            iterated along with them, as a progress bar.

    Returns:
        Sorted list of the ids that are in the folder now, and the list of dicts
        ``id``, ``reason`` of the scans that were rejected.
    """
    todo = [patient for patient in ids if not _is_done(source, patient, writer)]
    done = sorted(set(ids) - set(todo))
    rejected = {patient: writer.rejected_with(patient) for patient in done}
    images = {writer.image_of(patient): patient for patient in done}
    images.pop(None, None)
    crop = functools.partial(
        crop_patient, source, size=size, spacing_mm=spacing_mm, simulation=simulation
    )
    for patient, result in zip(watch(todo), spread(crop, todo), strict=True):
        cropped, reasons = result
        rejected[patient] = list(reasons)
        if cropped is None:
            continue
        image = cropped.record["image_sha256"]
        if image in images:
            file = cropped.record["source_file"]
            rejected[patient].append(f"{file}: the same image as patient {images[image]}")
            continue
        try:
            writer.add(make_case(patient, cropped, simulation), cropped.record, reasons)
        except UserError as error:
            rejected[patient].append(str(error))
            continue
        images[image] = patient
        done.append(patient)
    return sorted(done), rejections(rejected)


def _is_done(source, patient, writer):
    """Whether one of the patient's scans is written, and its files are as they were."""
    # Hashing a collection takes as long as reading it: only where it can matter.
    if not writer.knows(patient):
        return False
    for scan in source.scans(patient):
        try:
            if writer.has(patient, source.record(scan)["source_sha256"]):
                return True
        except (UserError, OSError):
            continue  # It will be rejected, with this reason.
    return False
