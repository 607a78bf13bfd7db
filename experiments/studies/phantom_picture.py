"""Draw a phantom: every level, the three planes and both films, beside a real CT.

python -m experiments.studies.phantom_picture --output=docs/images/phantom.png --real_ct=CT.nii.gz
"""

import pathlib
import sys

import numpy as np
import scipy
from absl import flags

from experiments.common import cli
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.volumes import volume as volumes
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import VERTEBRAE, screen

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", None, "PNG file to write.", required=True, flag_values=FLAGS)
SEED = flags.DEFINE_integer("seed", 7, "Seed of the patient.", lower_bound=0, flag_values=FLAGS)
SIZE = flags.DEFINE_integer(
    "size", 128, "Voxels a side of a 128 mm cube.", lower_bound=16, flag_values=FLAGS
)
REAL_CT = flags.DEFINE_string(
    "real_ct",
    None,
    "NIfTI neck CT centred on C1..C7, drawn beside a phantom on its grid.",
    flag_values=FLAGS,
)
IN_PLANE_BLUR_MM = flags.DEFINE_float(
    "in_plane_blur_mm",
    1.2,
    "Blur (sigma) of the phantom beside the real CT, whose true pixels may be wider than its grid.",
    lower_bound=0.0,
    flag_values=FLAGS,
)

WINDOW_HU = (-250, 1000)
CUBE_MM = 128.0
COLUMNS = 7


def _film(ct, spacing_mm, view):
    # Keras takes seconds to load; a mistaken flag needs none.
    from xctrs_tf.data.projection import drr

    mu = drr.hu_to_mu(ct.astype(np.float32))
    return np.asarray(drr.parallel_projection(mu, spacing_mm, view))


def _show(axes, plane, name, title, window=WINDOW_HU):
    low, high = window if window else np.percentile(plane, (0.5, 99.5))
    axes.imshow(screen(plane, name), cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
    axes.set_title(title, fontsize=8, pad=2)


def _planes_and_films(row, ct, spacing_mm, x, title):
    """Draw three sagittal or coronal planes, two axial ones and both films of a CT."""
    middle = [n // 2 for n in ct.shape]
    mm = lambda value: round(value / spacing_mm)  # noqa: E731
    side = x + mm(18)
    _show(row[0], ct[x], "sagittal", f"{title}: mid-sagittal")
    _show(row[1], ct[side], "sagittal", "parasagittal, 18 mm left")
    _show(row[2], ct[:, middle[1] - mm(18)], "coronal", "coronal")
    for axes, offset in zip(row[3:5], (20, -22), strict=True):
        _show(axes, ct[:, :, middle[2] + mm(offset)], "axial", f"axial, {offset:+d} mm")
    for axes, view in zip(row[5:], ("ap", "la"), strict=True):
        _show(axes, _film(ct, spacing_mm, view), view, f"{view.upper()} film", window=None)


def _levels(row, phantom):
    """Draw an axial cut through the middle of every vertebra, with its outline."""
    for label, (axes, name) in enumerate(zip(row, VERTEBRAE, strict=True), start=1):
        mask = phantom.segmentation == label
        z = int(np.median(np.nonzero(mask)[2]))
        _show(axes, phantom.ct[:, :, z], "axial", f"axial, {name}")
        axes.contour(screen(mask[:, :, z], "axial"), [0.5], colors="tab:orange", linewidths=0.5)


def _middle_of_canal(phantom):
    """Return the index of the sagittal plane through the middle of the vertebrae."""
    return int(np.median(np.nonzero(phantom.segmentation)[0]))


def _beside_real(rows, ct, spacing_mm):
    """Draw the phantom on the real CT's grid, then the real CT."""
    phantom = make_phantom(SEED.value, ct.shape, spacing_mm)
    sigma = IN_PLANE_BLUR_MM.value / spacing_mm
    blurred = scipy.ndimage.gaussian_filter(phantom.ct.astype(np.float32), (sigma, sigma, 0))
    x = _middle_of_canal(phantom)
    _planes_and_films(rows[0], blurred, spacing_mm, x, f"phantom, {spacing_mm:g} mm")
    _planes_and_films(rows[1], ct, spacing_mm, ct.shape[0] // 2, f"real, {spacing_mm:g} mm")


def _read_real(path):
    """Read a CT and its spacing, which must be the same along all axes."""
    volume = volumes.read_volume(path)
    if np.ptp(volume.spacing_mm) > 1e-3:
        raise UserError(f"{path}: voxels are not cubes; resample them to one spacing first")
    return volume.array, float(volume.spacing_mm[0])


def execute():
    """Draw the picture."""
    output = pathlib.Path(OUTPUT.value)
    if not output.parent.is_dir():
        raise UserError(f"--output: no such folder {output.parent}; make it first")
    if output.suffix != ".png":
        raise UserError(f"--output: {output} does not end in .png")
    real = _read_real(REAL_CT.value) if REAL_CT.value else None
    cli.load_tensorflow()
    spacing_mm = CUBE_MM / SIZE.value
    phantom = make_phantom(SEED.value, SIZE.value, spacing_mm)
    count = 4 if real else 2
    # Matplotlib is slow to import.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.0 * COLUMNS, 2.1 * count), layout="constrained", facecolor="white")
    grid = figure.subplots(count, COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    _levels(grid[0], phantom)
    title = f"phantom, {spacing_mm:g} mm"
    _planes_and_films(grid[1], phantom.ct, spacing_mm, _middle_of_canal(phantom), title)
    if real:
        _beside_real(grid[2:], *real)
    with atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=72)
    print(f"wrote {output}")
    return 0


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
