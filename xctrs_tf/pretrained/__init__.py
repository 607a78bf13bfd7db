"""Weights that come with the package.

Each folder is an exported model without a graph (``experiments.export --format=weights``):
weights, metadata, thresholds of the quality checks, model card, licence and notice.
"""

import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json

# Names for `XCTRSNet(weights=...)`, `xctrs_tf.load` and the flags --model and --initial_weights.
PRETRAINED = ("neck64",)
# The model of `xctrs_tf.load()` and of programs without --model.
DEFAULT = "neck64"
# Networks that label the vertebrae of a CT (`xctrs_tf.load_segmenter`, experiments.segment).
SEGMENTERS = ("vertebrae64",)
DEFAULT_SEGMENTER = "vertebrae64"
# Two films of a neck and its CT: a test patient of the model (docs/neck64.md).
EXAMPLE = pathlib.Path(__file__).parent / "example"
# File of an exported model that holds the weights of all its networks.
EXPORTED_WEIGHTS = "assets.extra/weights.npz"


def pretrained_folder(name):
    """Return the folder of pretrained weights.

    Args:
        name: one of `PRETRAINED` or `SEGMENTERS`.

    Returns:
        `pathlib.Path`.

    Raises:
        ValueError: no such name.
    """
    names = PRETRAINED + SEGMENTERS
    if name not in names:
        raise ValueError(f"weights={name!r}: must be one of {', '.join(names)}")
    return pathlib.Path(__file__).parent / name


def asked_folder(name):
    """Return the folder of pretrained weights whose name a user gave, if it can mean no other.

    Args:
        name: as of `pretrained_folder`.

    Raises:
        ValueError: no such name.
        UserError: the working directory holds a model or run of that name, which may be meant.
    """
    folder, own = pretrained_folder(name), pathlib.Path(name)
    marks = ("assets.extra", "*/assets.extra", "config.json")
    if own.resolve() != folder and any(any(own.glob(mark)) for mark in marks):
        raise UserError(
            f"{name}: a model of the package, and a folder here; write ./{name} for the folder, or "
            "rename it for the model of the package"
        )
    return folder


def check_weights_folder(folder):
    """Refuse to replace a folder with weights if it holds anything else.

    Args:
        folder: `pathlib.Path` that ``--output`` names; it may be absent or empty.

    Raises:
        UserError: it has no `EXPORTED_WEIGHTS`, but other files.
    """
    if folder.exists() and not (folder / EXPORTED_WEIGHTS).is_file() and any(folder.iterdir()):
        raise UserError(f"--output={folder}: holds other files; name another folder")


def pretrained_sizes(name):
    """Return a dict of ``size`` and ``width`` of the networks of pretrained weights.

    Args:
        name: one of `PRETRAINED`.
    """
    file = pretrained_folder(name) / "assets.extra" / "metadata.json"
    metadata = read_json(file)
    return {"size": metadata["size"], "width": metadata["training"]["width"]}
