"""A series of five slices, and changes of it."""

import numpy as np
import pydicom

from xctrs_tf.data.volumes.dicom_series import read_series

SPACING_MM = (0.75, 0.75, 2.5)
ORIGIN_MM = (-40.25, 12.5, 900.5)
ARRAY = np.random.default_rng(0).integers(-1000, 1500, (6, 7, 5), np.int16)


def edit(folder, change, files=slice(None)):
    """Change the datasets of some files of a series."""
    for file in sorted(folder.iterdir())[files]:
        data = pydicom.dcmread(file)
        change(data)
        data.save_as(file)


def setting(**tags):
    """Return a change that sets tags, or deletes those whose value is None."""

    def change(data):
        for keyword, value in tags.items():
            if value is None:
                delattr(data, keyword)
            else:
                setattr(data, keyword, value)

    return change


def set_pixels(data, stored):
    kind = "<i2" if data.PixelRepresentation else "<u2"
    data.PixelData = stored.astype(kind).tobytes()


def assert_as_stored(folder):
    read = read_series(folder)
    np.testing.assert_array_equal(read.array, ARRAY)
    np.testing.assert_allclose(read.spacing_mm, SPACING_MM)
    np.testing.assert_allclose(read.origin_mm, ORIGIN_MM)
