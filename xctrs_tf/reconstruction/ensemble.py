"""Loading of one exported model or of an ensemble of several."""

import pathlib

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import centred_origin, is_same_spacing
from xctrs_tf.pretrained import DEFAULT, pretrained_folder
from xctrs_tf.processor import set_fpmath, warn_once
from xctrs_tf.reconstruction.exported_model import Export, find_export
from xctrs_tf.reconstruction.reconstructor import BaseReconstructor, Reconstruction, Reconstructor
from xctrs_tf.reconstruction.uncertainty import combine

# Metadata that must agree, for the models' voxels to be comparable.
SHARED = ("size", "window_hu", "film_normalization", "frame", "classes")


def load(*paths, sha256=(), fpmath=None, mirror=False):
    """Load an exported model, or several as an ensemble.

    Args:
        *paths: folders of `experiments.export`, of which the newest version is taken,
            version folders, or names of models that come with the package
            (`pretrained.PRETRAINED`); or an `exported_model.Export`. Without any:
            ``"neck64"``.
        sha256: `export_files.model_sha256` that each model must have, as a list, or a str for one
            model; empty demands none.
        fpmath: as of `use_fpmath`.
        mirror: as of `Reconstructor`, for every model.

    Returns:
        `Reconstructor`, or `ReconstructorEnsemble` for several paths.

    Raises:
        UserError: a folder holds no model, another one or a damaged one; the models do
            not agree, or two are the same.

    Example:
        >>> reconstructor = xctrs_tf.load()
        >>> reconstruction = reconstructor("ap.png", "la.png")
        >>> reconstruction.save("OUT")
    """
    exports = find_exports(paths or [pretrained_folder(DEFAULT)])
    use_fpmath(exports, fpmath)
    sha256 = [sha256] if isinstance(sha256, str) and sha256 else sha256
    pins = [None] * len(exports) if not sha256 else list(sha256)
    if len(pins) != len(exports):
        raise UserError(f"--model_sha256: {len(pins)} of them; give one for every --model")
    if len(exports) > 1:
        _check_different(exports)
    reconstructors = [
        Reconstructor(export.load(pin), export.metadata, str(export.path), mirror, export.record())
        for export, pin in zip(exports, pins, strict=True)
    ]
    return reconstructors[0] if len(reconstructors) == 1 else ReconstructorEnsemble(reconstructors)


def find_exports(paths):
    """Find exported models that can form an ensemble.

    Args:
        paths: list of folders, as for `load`.

    Returns:
        List of `xctrs_tf.reconstruction.exported_model.Export`.

    Raises:
        UserError: a folder holds no model that reconstructs, is named twice, or the models
            differ in size, window, normalisation of the films, frame or classes.
    """
    exports = [path if isinstance(path, Export) else find_export(path) for path in paths]
    first, places = exports[0], set()
    for export in exports:
        place = pathlib.Path(export.path).resolve()
        if place in places:
            raise UserError(f"--model={export.path}: named twice; name every model once")
        places.add(place)
        if not export.takes_films:
            raise UserError(
                f"--model={export.path}: only segments CTs; give it to experiments.segment, or "
                "name a model that reconstructs"
            )
        for name in SHARED:
            ours, theirs = (e.metadata.get(name) for e in (export, first))
            if ours != theirs:
                raise UserError(
                    f"--model={export.path}: its {name} is {ours}, and {theirs} of {first.path}; "
                    "name models that were trained alike"
                )
        _tell_other_voxels(export, first)
    return exports


def _check_different(exports):
    """Refuse copies of one model, which would agree with themselves."""
    known = {}
    for export in exports:
        earlier = known.setdefault(export.sha256, export)
        if earlier is not export:
            raise UserError(
                f"--model={export.path}: the same model as {earlier.path}; name every model once"
            )


def _tell_other_voxels(export, first):
    ours, theirs = (each.metadata.get("spacing_mm") for each in (export, first))
    if ours and theirs and not is_same_spacing(ours, theirs):
        warn_once(
            f"--model={export.path}: was trained with voxels of {ours:g} mm, and {first.path} with "
            f"{theirs:g} mm; a neck has another size to one of them, whatever --spacing_mm is"
        )


def shared_metadata(models):
    """Return the metadata of models that answer together.

    Args:
        models: list of the metadata of each model, one or several.

    Returns:
        Metadata of the first; ``spacing_mm`` is None if the models' differ by over 1 %.
    """
    first, *others = (metadata["spacing_mm"] for metadata in models)
    # The same data prepared twice may give another median.
    agree = first and all(other and is_same_spacing(first, other) for other in others)
    return {**models[0], "spacing_mm": first if agree else None}


def use_fpmath(exports, fpmath=None):
    """Choose how float32 products are computed, before TensorFlow is imported.

    Args:
        exports: list of `Export`.
        fpmath: of `processor.FPMATHS`; None for that in the metadata of the models.

    Raises:
        UserError: bfloat16 is asked for, and a model is an ONNX file.
    """
    onnx = [export for export in exports if export.is_onnx]
    if fpmath == "bfloat16" and onnx:
        raise UserError(
            f"--fpmath=bfloat16: {onnx[0].path} is an ONNX file; it is an option of TensorFlow"
        )
    if fpmath is None:
        modes = {export.fpmath for export in exports if not export.is_onnx}
        # What the environment says holds for models that say nothing.
        if "bfloat16" not in modes:
            return
        if len(modes) > 1:
            warn_once("--fpmath: float32 for all, since not all models say bfloat16")
        fpmath = "bfloat16" if len(modes) == 1 else "float32"
    set_fpmath(fpmath)


class ReconstructorEnsemble(BaseReconstructor):
    """Ensemble of models: mean CT, labels by the mean probabilities, and the models' spread.

    Args:
        reconstructors: list of `Reconstructor`, at least two, alike in `SHARED`.

    Attributes:
        metadata: `shared_metadata` of the models.
    """

    _no_spacing = "the models do not agree on a voxel size"

    def __init__(self, reconstructors):
        self._reconstructors = reconstructors
        self.metadata = shared_metadata([each.metadata for each in reconstructors])
        self.size = reconstructors[0].size
        self.film_normalization = reconstructors[0].film_normalization

    def trained_spacing_mm(self):
        """Return the edge of a voxel of the models, or None if they do not agree."""
        return self.metadata["spacing_mm"]

    def _name(self):
        return f"{len(self._reconstructors)} models"

    def _reconstruct(self, films, spacing_mm):
        if spacing_mm is None:
            spacing_mm = self._required_spacing(self.trained_spacing_mm())
        consensus = combine(
            (reconstructor.volumes(films) for reconstructor in self._reconstructors), spacing_mm
        )
        return Reconstruction(
            ct_hu=consensus.ct_hu,
            segmentation=consensus.segmentation,
            spacing_mm=spacing_mm,
            origin_mm=centred_origin(self.size, spacing_mm),
            spread_hu=consensus.spread_hu,
            uncertainty=consensus.summary,
            models=tuple(reconstructor.record for reconstructor in self._reconstructors),
            mirror=all(reconstructor.mirror for reconstructor in self._reconstructors),
        )
