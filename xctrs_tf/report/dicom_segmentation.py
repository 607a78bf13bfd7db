"""DICOM segmentation (SEG) of C1..C7, written with the optional package highdicom."""

import logging
import pathlib
import warnings

import numpy as np
from pydicom.sr.codedict import codes
from skimage.color import rgb2lab

from xctrs_tf import __version__
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.report.dicom_ct import (
    MANUFACTURER,
    SERIES_NUMBER,
    derived_uid,
    model_names,
    series_description,
)
from xctrs_tf.style import VERTEBRA_COLORS


def write_segmentation(path, labels, slices, provenance=None):
    """Write labels as one binary segmentation that refers to its CT series.

    Args:
        path: the file.
        labels: integers ``[x, y, z]``, 1..7 = C1..C7, not all 0.
        slices: list of `dicom_ct.write_ct_series`, on the same grid.
        provenance: `provenance_record.provenance_record`, or None if nothing is known.
    """
    # An optional package, which `output_folder.require_dicom_package` demands before the work.
    import highdicom

    digest = slices[0].SeriesInstanceUID
    # A slice is [row, column] = [y, x].
    frames = np.ascontiguousarray(labels.transpose(2, 1, 0).astype(np.uint8))
    # highdicom logs every group of attributes that it copies.
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # highdicom warns about the empty names of anonymous patients.
        warnings.simplefilter("ignore")
        segmentation = highdicom.seg.Segmentation(
            source_images=slices,
            pixel_array=_stacked(frames),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_descriptions(highdicom, frames),
            series_instance_uid=derived_uid(digest, "segmentation series"),
            series_number=SERIES_NUMBER + 1,
            sop_instance_uid=derived_uid(digest, "segmentation"),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=model_names(provenance),
            software_versions=__version__,
            device_serial_number="0",
            series_description=series_description("C1 to C7 from two X-ray films", provenance),
        )
    _make_repeatable(segmentation, digest)
    _date_as(segmentation, slices[0])
    with atomic_path(pathlib.Path(path)) as temporary:
        segmentation.save_as(temporary)


def _stacked(frames):
    """Stack one bool mask per present vertebra: segments must be numbered without gaps."""
    return np.stack([frames == label for label in _present(frames)], axis=-1)


def _present(frames):
    return [label for label in range(1, len(VERTEBRAE) + 1) if (frames == label).any()]


def _descriptions(highdicom, frames):
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="xctrs_tf",
        version=__version__,
        family=codes.cid7162.ArtificialIntelligence,
    )
    return [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=VERTEBRAE[label - 1],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=getattr(codes.SCT, f"{VERTEBRAE[label - 1]}Vertebra"),
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=highdicom.color.CIELabColor(*rgb2lab(VERTEBRA_COLORS[label - 1])),
        )
        for number, label in enumerate(_present(frames), start=1)
    ]


def _make_repeatable(segmentation, digest):
    """Replace random UIDs of highdicom, and drop the time of its contribution."""
    organization = derived_uid(digest, "dimension organization")
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in segmentation[sequence].value:
            item.DimensionOrganizationUID = organization
    for item in segmentation.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)


def _date_as(segmentation, image):
    """Take the date and the time from a slice; those of now stay where it has none."""
    for suffix in ("Date", "Time"):
        made = image.get(f"InstanceCreation{suffix}") or image.get(f"Study{suffix}")
        for prefix in ("Content", "Series", "InstanceCreation"):
            # A segmentation must tell the date of its content, also an anonymous one.
            if made and prefix + suffix in segmentation:
                setattr(segmentation, prefix + suffix, made)
