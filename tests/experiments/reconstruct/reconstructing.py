"""Calls of `reconstruct` on the films of a block."""

import numpy as np
import SimpleITK as sitk
from PIL import Image

from tests.programs import run_program


def assert_same_network_input(folder):
    """Compare the drawn films as the network gets them, without their titles and scale bars."""
    films = [np.asarray(Image.open(folder / name / "films.png")) for name in ("out", "clean")]
    np.testing.assert_array_equal(films[0][46:500], films[1][46:500])


def reconstruct(folder, models, *flags, suffix=".png"):
    films = (f"--{view}={folder / (view + suffix)}" for view in ("ap", "la"))
    return batch(folder, models, *films, *flags)


def write_nifti(path, film):
    image = sitk.GetImageFromArray(film.T)
    image.SetSpacing((2.5, 2.5))
    sitk.WriteImage(image, str(path))


def batch(folder, models, *flags):
    required = (f"--model={models}", f"--output={folder / 'out'}", "--spacing_mm=2.5")
    return run_program("reconstruct", *required, *flags)
