"""Writers of DICOM films and CT series."""

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

UID = "1.2.826.0.1.3680043.2.1125."
INTERCEPT = -1024
PIXELS = np.random.default_rng(0).integers(0, 4095, (12, 12), np.uint16)


def write_dicom(path, pixels=PIXELS, syntax=ExplicitVRLittleEndian, **tags):
    """Write a DICOM film and return its path; leave out tags whose value is None."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    # The bytes must not depend on the version of pydicom.
    meta.ImplementationClassUID = "1.2.826.0.1.3680043.8.498.2"
    meta.ImplementationVersionName = "TEST"
    film = Dataset()
    film.file_meta = meta
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "DX",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        **tags,
    }
    for name, value in values.items():
        if value is not None:
            setattr(film, name, value)
    film.PixelData = pixels.tobytes()
    film.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, volume, direction=None, series="1", change=None):
    """Write a volume as one file per slice, numbered from head to foot as scanners do.

    Args:
        folder: output folder, made if it does not exist.
        volume: `Volume` of whole HU.
        direction: `3 x 3`, its rows the directions of the columns, rows and slices.
        series: last part of the series' UID.
        change: function of the number and the tags of each slice; it may change the
            tags, or return False to leave the slice out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    direction = np.eye(3) if direction is None else np.array(direction, float)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    count = volume.array.shape[2]
    for number in range(count):
        # The writer takes HU and subtracts the intercept below.
        image = sitk.GetImageFromArray(volume.array[:, :, number].T[np.newaxis])
        position = volume.origin_mm + number * volume.spacing_mm[2] * direction[2]
        image.SetSpacing([float(edge) for edge in volume.spacing_mm])
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{UID}{series}.{number + 1}",
            "0008|0060": "CT",
            "0020|000d": f"{UID}9",
            "0020|000e": f"{UID}{series}",
            "0020|0013": str(count - number),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:g}" for value in direction[:2].ravel()),
            "0028|1052": str(INTERCEPT),
            "0028|1053": "1",
        }
        if change and change(number, tags) is False:
            continue
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}-{count - number:03d}.dcm"))
        writer.Execute(image)
