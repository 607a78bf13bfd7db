"""Figure of SpaDRNet's features between film and volume, as the paper's Fig. 5."""

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.drawing.panels import draw_film, hide_frame, save_figure
from xctrs_tf.geometry import RAY_AXIS, VIEWS, screen
from xctrs_tf.style import GREY, INK

# Positions of the slices along the rays, as shares of the depth.
DEPTHS = (0.3, 0.4, 0.5, 0.6, 0.7)
SCALES = ("s8", "s4", "s2", "s1")
_PANEL = 1.2  # inches
_GAP = 0.2  # panels
# A feature has no unit; the grey scale runs between these percentiles of a level's slices.
_PERCENTILES = (1, 99)


def view_features(reconstruction, films):
    """Return the features of each view after pixelshuffle and alignment, coarsest first.

    Args:
        reconstruction: SpaDRNet.
        films: dict of `ap` and `la`, `(size, size, 1)`.

    Returns:
        Dict from view to a list of arrays `[x, y, z]`, the mean over channels.
    """
    import keras

    layers = {
        f"{view}_{scale}": reconstruction.get_layer(f"align_{scale}_{view}").output
        for view in VIEWS
        for scale in SCALES
    }
    outputs = keras.Model(reconstruction.inputs, layers)(
        [films[tensor.name][np.newaxis] for tensor in reconstruction.inputs], training=False
    )

    def drawable(name):
        # NumPy and Matplotlib cannot draw 16 bits.
        feature = keras.ops.cast(outputs[name], "float32")
        return keras.ops.convert_to_numpy(feature)[0].mean(axis=-1)

    return {view: [drawable(f"{view}_{scale}") for scale in SCALES] for view in VIEWS}


def decomposition_figure(path, case, features, ct_pred):
    """Draw, for AP and LA, the film and each level's slices from front to back.

    Args:
        path: the PNG to write.
        case: `xctrs_tf.data.dataset.Case`.
        features: of `view_features`.
        ct_pred: the reconstruction in [0, 1], `[x, y, z]`.

    Ge et al. (2022), Fig. 5.
    """
    names = [f"feature 1/{scale[1:]}" for scale in SCALES[:-1]] + ["feature 1/1"]
    names += ["reconstruction", "CT"]
    # The film, a gap for the rows' names, the slices; and a gap between the views.
    widths = [1, _GAP, *[1] * len(DEPTHS)]
    columns = len(widths)
    size = (_PANEL * 2 * (sum(widths) + _GAP), _PANEL * len(names) + 0.75)
    figure = Figure(figsize=size, facecolor="white")
    grid = figure.add_gridspec(
        len(names),
        2 * columns + 1,
        width_ratios=(*widths, _GAP, *widths),
        left=0.005,
        right=0.995,
        bottom=0.06,
        top=0.93,
        wspace=0.04,
        hspace=0.04,
    )
    for number, view in enumerate(VIEWS):
        first = number * (columns + 1)
        film = figure.add_subplot(grid[0, first])
        draw_film(film, normalise_film(getattr(case, view)), view)
        film.set_title(f"{view.upper()} film", fontsize=9, color=INK, pad=3)
        hide_frame(film)
        volumes = [*features[view], ct_pred, normalise_hu(case.ct)]
        for row, (name, volume) in enumerate(zip(names, volumes, strict=True)):
            axes = [figure.add_subplot(grid[row, first + 2 + i]) for i in range(len(DEPTHS))]
            _draw_level(axes, volume, view, is_ct=row >= len(SCALES))
            axes[0].set_ylabel(name, fontsize=8, color=INK)
            if row == 0:
                for axis, depth in zip(axes, DEPTHS, strict=True):
                    axis.set_title(f"{depth:.0%}", fontsize=8, color=GREY, pad=3)
    figure.text(
        0.005,
        0.02,
        f"Patient {case.id}. Slices across the rays, at shares of the depth from the front (AP) "
        "and from the right (LA). Features: mean over channels after pixelshuffle.",
        fontsize=8,
        color=GREY,
        va="center",
    )
    save_figure(figure, path)


def _draw_level(axes, volume, view, is_ct):
    axis_of_rays = RAY_AXIS[view]
    depth = volume.shape[axis_of_rays]
    slices = [
        screen(np.take(volume, round(share * (depth - 1)), axis_of_rays), view) for share in DEPTHS
    ]
    low, high = (0.0, 1.0) if is_ct else np.percentile(slices, _PERCENTILES)
    for axis, picture in zip(axes, slices, strict=True):
        # No interpolation, so that a coarse level looks coarse.
        axis.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        hide_frame(axis)
