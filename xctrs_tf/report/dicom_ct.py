"""DICOM CT series of a reconstruction.

The files depend on the reconstruction only, not on the time or on random numbers: the
same reconstruction has the same UIDs.
"""

import hashlib
import pathlib

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from xctrs_tf.files import atomic_path
from xctrs_tf.style import LEVEL_HU, NOTICE, WIDTH_HU

# Fields that must be present, and may be empty.
_EMPTY = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "KVP",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
)
ANONYMOUS_ID = "RECONSTRUCTION"
SERIES_NUMBER = 9001


def ct_series(ct_hu, spacing_mm, origin_mm, patient=None):
    """Return the slices of a CT series, the lowest first.

    Args:
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `dicom_patient.patient_fields`; by default the series is anonymous.

    Returns:
        List of `pydicom.FileDataset`, one per slice.
    """
    source = hashlib.sha256(np.ascontiguousarray(ct_hu, "<i2").tobytes())
    source.update(repr((float(spacing_mm), *map(float, origin_mm), str(patient))).encode())
    digest = source.hexdigest()
    return [
        _slice(ct_hu[:, :, z], z, spacing_mm, origin_mm, digest, patient)
        for z in range(ct_hu.shape[2])
    ]


def write_ct_series(folder, ct_hu, spacing_mm, origin_mm, patient=None):
    """Write a CT series, one file per slice: ``slice-001.dcm`` and so on.

    Args:
        folder: created, or replaced if it exists.
        ct_hu: int16 CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        patient: `dicom_patient.patient_fields`; by default the series is anonymous.

    Returns:
        List of the slices written, for `dicom_segmentation.write_segmentation`.
    """
    slices = ct_series(ct_hu, spacing_mm, origin_mm, patient)
    with atomic_path(pathlib.Path(folder)) as temporary:
        temporary.mkdir()
        for number, image in enumerate(slices, start=1):
            image.save_as(temporary / f"slice-{number:03d}.dcm", enforce_file_format=True)
    return slices


def _slice(plane, z, spacing_mm, origin_mm, digest, patient):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = derived_uid(digest, f"slice {z}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 192"
    _describe_origin(image, digest, patient)
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.InstanceNumber = z + 1
    _describe_place(image, z, spacing_mm, origin_mm)
    _describe_pixels(image, plane)
    return image


def _describe_origin(image, digest, patient):
    """Fill in patient, study, series and type of image."""
    for name in _EMPTY:
        setattr(image, name, None)
    image.PatientID = ANONYMOUS_ID
    image.StudyInstanceUID = derived_uid(digest, "study")
    image.update(patient or {})
    image.Modality = "CT"
    image.SeriesInstanceUID = derived_uid(digest, "series")
    image.SeriesNumber = SERIES_NUMBER
    image.SeriesDescription = "Reconstructed from two X-ray films"
    image.FrameOfReferenceUID = derived_uid(digest, "frame of reference")
    image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    image.BodyPartExamined = "CSPINE"
    image.DerivationDescription = "Computed by a neural network from two X-ray films"
    image.ImageComments = NOTICE
    image.BurnedInAnnotation = "NO"


def _describe_place(image, z, spacing_mm, origin_mm):
    position = [*origin_mm[:2], origin_mm[2] + z * spacing_mm]
    # A decimal string of DICOM has at most 16 characters.
    image.ImagePositionPatient = [_decimal(value) for value in position]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [_decimal(spacing_mm)] * 2
    image.SliceThickness = _decimal(spacing_mm)
    image.SpacingBetweenSlices = _decimal(spacing_mm)
    image.SliceLocation = _decimal(position[2])


def _describe_pixels(image, plane):
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Columns, image.Rows = plane.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "HU"
    image.WindowCenter, image.WindowWidth = LEVEL_HU, WIDTH_HU
    image.PixelData = np.ascontiguousarray(plane.T, "<i2").tobytes()


def derived_uid(digest, role):
    """Derive a UID from contents.

    Args:
        digest: str that identifies a reconstruction.
        role: part of the reconstruction's study, such as ``"series"``.

    Returns:
        `pydicom.uid.UID`, the same for the same arguments.
    """
    return generate_uid(entropy_srcs=[digest, role])


def _decimal(value):
    return pydicom.valuerep.DSfloat(float(value), auto_format=True)
