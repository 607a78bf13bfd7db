"""Writing DICOM series, for the tests of reading them."""

import numpy as np
import SimpleITK as sitk

UID = "1.2.826.0.1.3680043.2.1125."
INTERCEPT = -1024


def write_series(folder, volume, direction=None, series="1", change=None):
    """Write a volume as one file a slice, numbered downwards as scanners do.

    Args:
        folder: made if need be.
        volume: `Volume` of whole HU.
        direction: rows of `3 x 3`: directions of the columns, rows and slices.
        series: last part of the series' UID.
        change: called with each slice's number and its tags; may change them, or
            return False to leave the slice out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    direction = np.eye(3) if direction is None else np.array(direction, float)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    count = volume.array.shape[2]
    for number in range(count):
        # The writer takes HU, and stores them by the intercept below.
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
