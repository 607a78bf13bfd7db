"""Loading models: one, or several that answer together."""

import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.reconstruction.exported_model import find_export
from xctrs_tf.reconstruction.reconstructor import Reconstruction, Reconstructor
from xctrs_tf.reconstruction.uncertainty import combine

# Without these the models' voxels are not of the same thing.
SHARED = ("size", "window_hu", "frame", "classes")


def load(*paths):
    """Load an exported model, or several that answer together.

    Args:
        *paths: each a folder of `experiments.export`, whose newest version is
            taken, or one of its versions.

    Returns:
        `Reconstructor`, or of several `ReconstructorEnsemble`.

    Raises:
        UserError: a folder is none, or is damaged; the models do not fit together.

    Example:
        >>> reconstructor = xctrs_tf.load("MODELS/xctrsnet")
        >>> ap = read_film("ap.png", "ap", reconstructor.size)
        >>> la = read_film("la.png", "la", reconstructor.size)
        >>> reconstructor(ap, la).ct_hu
    """
    exports = find_exports(paths)
    reconstructors = [Reconstructor(export.load(), export.metadata) for export in exports]
    return reconstructors[0] if len(reconstructors) == 1 else ReconstructorEnsemble(reconstructors)


def find_exports(paths):
    """Find exported models that can answer together.

    Args:
        paths: list of folders, as `load` takes them.

    Returns:
        List of `xctrs_tf.reconstruction.exported_model.Export`.

    Raises:
        UserError: a folder is none, is named twice, or the models differ in size,
            window, frame or classes.
    """
    exports = [find_export(path) for path in paths]
    first, places = exports[0], set()
    for export in exports:
        place = pathlib.Path(export.path).resolve()
        if place in places:
            raise UserError(f"--model={export.path}: named twice; name every model once")
        places.add(place)
        for name in SHARED:
            ours, theirs = (e.metadata.get(name) for e in (export, first))
            if ours != theirs:
                raise UserError(
                    f"--model={export.path}: its {name} is {ours}, and {theirs} of {first.path}; "
                    "name models that were trained alike"
                )
    return exports


class ReconstructorEnsemble:
    """Several models as one: mean CT, majority of the labels, and their spread.

    Args:
        reconstructors: list of `Reconstructor`, at least two, alike in `SHARED`.

    Attributes:
        metadata: the first model's; ``spacing_mm`` is None where they differ in it.
        size: pixels a side of the films.
    """

    def __init__(self, reconstructors):
        self._reconstructors = reconstructors
        spacings = {reconstructor.metadata["spacing_mm"] for reconstructor in reconstructors}
        spacing_mm = spacings.pop() if len(spacings) == 1 else None
        self.metadata = {**reconstructors[0].metadata, "spacing_mm": spacing_mm}
        self.size = reconstructors[0].size

    def __call__(self, ap, la, spacing_mm=None):
        """Reconstruct one patient by every model.

        Args:
            ap: film ``[x, z]``.
            la: film ``[y, z]``.
            spacing_mm: edge of a voxel; by default the one that all models know.

        Returns:
            `Reconstruction` with ``spread_hu`` and ``uncertainty``.

        Raises:
            UserError: as `Reconstructor` does.
        """
        if spacing_mm is None:
            spacing_mm = self.metadata["spacing_mm"]
        if spacing_mm is None:
            raise UserError("--spacing_mm: missing, and the models do not agree on a voxel size")
        answers = [reconstruct(ap, la, spacing_mm) for reconstruct in self._reconstructors]
        segmentations = [answer.segmentation for answer in answers]
        together = combine(
            [answer.ct_hu for answer in answers],
            None if segmentations[0] is None else segmentations,
            spacing_mm,
        )
        return Reconstruction(
            ct_hu=together.ct_hu,
            segmentation=together.segmentation,
            spacing_mm=spacing_mm,
            origin_mm=answers[0].origin_mm,
            spread_hu=together.spread_hu,
            uncertainty=together.summary,
        )
