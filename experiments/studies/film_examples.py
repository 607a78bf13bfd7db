"""Draw right and wrong crops of a pair of films, from a phantom (docs/films.md).

python -m experiments.studies.film_examples --output=docs/images
"""

import pathlib
import sys

import numpy as np
from absl import flags

from experiments.common import cli
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import screen

FLAGS = flags.FlagValues()
OUTPUT = flags.DEFINE_string("output", None, "Folder of the pictures.", flag_values=FLAGS)
SEED = flags.DEFINE_integer("seed", 7, "Seed of the phantom.", lower_bound=0, flag_values=FLAGS)
flags.mark_flags_as_required(["output"], flag_values=FLAGS)

PAIR, MISTAKES = "film_pair.png", "film_mistakes.png"
# Voxels of the phantom, and the edge of one in mm: a field of 240 mm.
SIZE, SPACING_MM = 160, 1.5
# Edge of the boxes, and the middle of C1 to C7 above the field's, in mm.
BOX_MM = 132.0
_DPI, _INCHES = 80, 2.4
_RIGHT, _WRONG = "tab:green", "tab:red"


def whole_films(seed):
    """Compute both films of a phantom with head and shoulders.

    Args:
        seed: of the phantom.

    Returns:
        Dict of the films as pictures ``[row, column]`` in [0, 1], and of the centres of the
        vertebrae on them as column and row.
    """
    from xctrs_tf.data.films.film_normalisation import normalise_film
    from xctrs_tf.data.projection import drr

    phantom = make_phantom(seed, SIZE, SPACING_MM)
    mu = drr.hu_to_mu(phantom.ct.astype(np.float32))
    middle = np.argwhere(phantom.segmentation > 0)
    middle = (middle.min(0) + middle.max(0)) / 2
    films, centres = {}, {}
    for view, axis in (("ap", 0), ("la", 1)):
        film = normalise_film(np.asarray(drr.parallel_projection(mu, SPACING_MM, view)))
        films[view] = screen(film, view)
        centres[view] = middle[axis] + 0.5, SIZE - 0.5 - middle[2]
    return films, centres


def box_of(centre, edge_mm=BOX_MM, right_mm=0.0, down_mm=0.0):
    """Return left, top, right and bottom of a square around a place, in whole pixels."""
    edge = round(edge_mm / SPACING_MM)
    left = round(centre[0] + right_mm / SPACING_MM - edge / 2)
    top = round(centre[1] + down_mm / SPACING_MM - edge / 2)
    return left, top, left + edge, top + edge


def execute():
    """Write both pictures."""
    folder = pathlib.Path(OUTPUT.value)
    if not folder.is_dir():
        raise UserError(f"--output: no such folder {folder}; make it first")
    cli.load_tensorflow()
    films, centres = whole_films(SEED.value)
    for name, draw in ((PAIR, _draw_pair), (MISTAKES, _draw_mistakes)):
        with atomic_path(folder / name) as temporary:
            draw(films, centres).savefig(temporary, dpi=_DPI)
        print(f"wrote {folder / name}")
    return 0


def _figure(rows, columns):
    # Matplotlib is slow to import.
    from matplotlib.figure import Figure

    size = (columns * _INCHES, rows * (_INCHES + 0.3))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show(axes, picture, title, colour="black"):
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    axes.set_title(title, fontsize=8, pad=3, color=colour)
    axes.set_axis_off()


def _outline(axes, box, colour=_RIGHT):
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    place = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(place, right - left, bottom - top, fill=False, ec=colour, lw=1.5))


def _cut(picture, box):
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def _draw_pair(films, centres):
    """Return a figure of both films with their boxes, and of what is cut out."""
    figure, grid = _figure(1, 4)
    titles = {"ap": "AP", "la": "LA (lateral), faces left"}
    for place, view in enumerate(films):
        box = box_of(centres[view])
        _show(grid[0, 2 * place], films[view], f"{titles[view]}: film and box")
        _outline(grid[0, 2 * place], box)
        _show(grid[0, 2 * place + 1], _cut(films[view], box), f"{view.upper()}: cut out", _RIGHT)
    return figure


def _draw_mistakes(films, centres):
    """Return a figure of boxes and films that differ from what the networks learned."""
    from scipy import ndimage

    ap, la = films["ap"], films["la"]
    boxes = {view: box_of(centres[view]) for view in films}
    figure, grid = _figure(2, 4)
    wrong_boxes = (
        ("AP: C7 is cut off", "ap", box_of(centres["ap"], down_mm=-30)),
        ("LA: 20 mm lower than AP's box", "la", box_of(centres["la"], down_mm=20)),
        ("LA: larger than AP's box", "la", box_of(centres["la"], 1.4 * BOX_MM)),
        ("LA: too small, C1 and C7 cut", "la", box_of(centres["la"], 0.6 * BOX_MM)),
    )
    for axes, (title, view, box) in zip(grid[0], wrong_boxes, strict=True):
        _show(axes, films[view], title, _WRONG)
        _outline(axes, boxes[view])
        _outline(axes, box, _WRONG)
    turned = ndimage.rotate(ap, -10, reshape=False, order=1, mode="nearest")
    wrong_films = (
        ("LA faces right: --la_flip_horizontal", _cut(la, boxes["la"])[:, ::-1]),
        ("LA is upside down: --la_flip_vertical", _cut(la, boxes["la"])[::-1]),
        ("AP, bone is dark: --ap_invert", 1 - _cut(ap, boxes["ap"])),
        ("AP, turned by 10°: --ap_rotate=-10", _cut(turned, boxes["ap"])),
    )
    for axes, (title, picture) in zip(grid[1], wrong_films, strict=True):
        _show(axes, picture, title, _WRONG)
    return figure


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
