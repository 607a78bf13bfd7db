"""Calls of `reconstruct` on the films of a block."""

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image

from tests.data.dicoms import write_dicom
from tests.films import block_films
from tests.programs import run_program


def assert_same_network_input(folder):
    """Compare the drawn films as the network gets them, without their titles and scale bars."""
    films = [np.asarray(Image.open(folder / name / "films.png")) for name in ("out", "clean")]
    np.testing.assert_array_equal(films[0][46:500], films[1][46:500])


def reconstruct(folder, models, *flags, suffix=".png"):
    films = (f"--{view}={folder / (view + suffix)}" for view in ("ap", "la"))
    return batch(folder, models, *films, *flags)


def write_dicom_films(folder, ap, la, **tags):
    """Write the films of the block as DICOM of patients whose ids are ``ap`` and ``la``."""
    patients = {"ap": ap, "la": la}
    for view, film in block_films().items():
        pixels = (1000 * film.T[::-1]).astype(np.uint16)
        header = {"PatientName": "Doe^Jane", "PatientID": patients[view], **tags}
        with pydicom.config.disable_value_validation():
            write_dicom(folder / f"{view}.dcm", np.ascontiguousarray(pixels), **header)


def write_nifti(path, film):
    image = sitk.GetImageFromArray(film.T)
    image.SetSpacing((2.5, 2.5))
    sitk.WriteImage(image, str(path))


def batch(folder, models, *flags):
    required = (f"--model={models}", f"--output={folder / 'out'}", "--spacing_mm=2.5")
    return run_program("reconstruct", *required, *flags)
