"""Search for trained weights: in runs, exported models, files, and in this package."""

import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.models.weights import KERAS_SUFFIX, NUMPY_SUFFIX, assign_weights, read_weights
from xctrs_tf.pretrained import EXPORTED_WEIGHTS, PRETRAINED, SEGMENTERS, asked_folder

_NAMES = (*PRETRAINED, *SEGMENTERS)
_BEST = "best"
_FROZEN = "reconstruction_run"


def find_weights(source):
    """Find the files of weights that a name stands for.

    Args:
        source: name of pretrained weights (`pretrained.PRETRAINED`, `SEGMENTERS`), run folder of
            experiments.train, of which the best checkpoint is taken, folder of
            experiments.export, of which the newest version is taken, or a file
            (``.weights.h5``, ``.npz``).

    Returns:
        List of `pathlib.Path`, the run's own before that of its --reconstruction_run, which may
        have trained the same networks.

    Raises:
        UserError: there are none.
    """
    if source in _NAMES:
        return [asked_folder(source) / EXPORTED_WEIGHTS]
    path = pathlib.Path(source)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(
            f"{source}: no file, run, exported model or name of pretrained weights "
            f"({', '.join(_NAMES)})"
        )
    if (path / "config.json").is_file():
        found = [
            file
            for folder in (path / _BEST, path / _FROZEN / _BEST)
            for file in sorted(folder.glob(f"*{KERAS_SUFFIX}"))
        ]
        if not found:
            raise UserError(f"{source}: no best checkpoint yet; let experiments.train run on")
        return found
    versions = sorted(
        (child for child in path.iterdir() if child.name.isdecimal()),
        key=lambda child: int(child.name),
    )
    file = (versions[-1] if versions else path) / EXPORTED_WEIGHTS
    if not file.is_file():
        raise UserError(
            f"{source}: neither a run nor an exported model with {EXPORTED_WEIGHTS}; name a run, "
            f"or export it again, or name a file ({KERAS_SUFFIX}, {NUMPY_SUFFIX})"
        )
    return [file]


def load_sources(networks, sources):
    """Load weights into networks, by the names of the layers; later sources override.

    Args:
        networks: list of built `keras.Model`.
        sources: list of what `find_weights` takes.

    Returns:
        List of ``(source, LoadedWeights)``, for every network of which something was loaded.

    Raises:
        UserError: a source is missing or damaged, or does not fit (`weights.assign_weights`).
    """
    found = []
    for source in sources:
        fits = assign_weights(networks, _read(source, networks), source)
        found += [(source, fit) for fit in fits if fit.loaded]
    return found


def load_whole(networks, source):
    """Load every layer of some networks from one source.

    Args:
        networks: list of built `keras.Model`.
        source: as `find_weights` takes.

    Raises:
        UserError: the source is missing or damaged, or a layer would stay random.
    """
    fits = {fit.network: fit for _, fit in load_sources(networks, [source])}
    for network in networks:
        fit = fits.get(network.name)
        if fit is None:
            raise UserError(
                f"{source}: has no weights of {network.name}, which would stay random; name a "
                "source with both networks, or load those of one with load_weights_by_name"
            )
        if fit.missing or fit.misshapen:
            raise UserError(
                f"{source}: does not have all layers ({fit}), and the others would stay random; "
                "give the size, width and classes of its training, or load what fits with "
                "load_weights_by_name"
            )


def _read(source, networks):
    """Return the weights of a source, as `read_weights` does; the first file of a network wins."""
    stored, names = {}, {network.name for network in networks}
    for file in find_weights(source):
        # A network may be within a whole model in one file and alone in the other, under two keys.
        known = {name for owners, _ in stored for name in owners} & names
        stored |= {
            key: value for key, value in read_weights(file).items() if known.isdisjoint(key[0])
        }
    return stored
