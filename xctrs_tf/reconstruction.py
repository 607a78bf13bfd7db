"""Two films in, a CT and its seven vertebrae out: what every program and server shares."""

import dataclasses
import json
import pathlib

import numpy as np

from xctrs_tf.data.film_drawing import draw_network_view
from xctrs_tf.data.intensity import denormalise_hu
from xctrs_tf.data.volumes import write_volume
from xctrs_tf.data.xray import normalise_film
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path, write_text
from xctrs_tf.geometry import VERTEBRAE, VIEWS
from xctrs_tf.serving.exported import NOTICE, find_export

FORMAT = "xctrs-reconstruction/1"
CT = "ct.nii.gz"
SEGMENTATION = "segmentation.nii.gz"
PREVIEW = "preview.png"
FILMS = "films.png"
# Says that the folder is ours, and may be replaced.
RECORD = "reconstruction.json"


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What a model made of two films, on a grid along the LPS axes.

    The films do not say where the patient was: the middle of the volume is the
    origin.

    Attributes:
        ct_hu: int16 CT numbers ``[x, y, z]`` in HU.
        segmentation: uint8 labels ``[x, y, z]``, 1..7 = C1..C7, or None if the
            model does not segment.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
    """

    ct_hu: np.ndarray
    segmentation: np.ndarray | None
    spacing_mm: float
    origin_mm: tuple


def load(path):
    """Load an exported model.

    Args:
        path: folder of `experiments.export`, whose newest version is taken, or
            one of its versions.

    Returns:
        `Reconstructor`.

    Raises:
        UserError: the folder is none, or is damaged.

    Example:
        >>> reconstructor = xctrs_tf.load("MODELS/xctrsnet")
        >>> ap = read_film("ap.png", "ap", reconstructor.size)
        >>> la = read_film("la.png", "la", reconstructor.size)
        >>> reconstructor(ap, la).ct_hu
    """
    export = find_export(path)
    return Reconstructor(export.load(), export.metadata)


class Reconstructor:
    """A loaded model: two films to a `Reconstruction`.

    Args:
        predict: function of the keywords ``ap`` and ``la``, batches, to a dict
            of batches ``ct`` and, if the model segments, ``segmentation``.
        metadata: the export's.

    Attributes:
        metadata: the export's.
        size: pixels a side of the films that it takes.
    """

    def __init__(self, predict, metadata):
        self._predict = predict
        self.metadata = metadata
        self.size = metadata["size"]

    def __call__(self, ap, la, spacing_mm=None):
        """Reconstruct one patient.

        Args:
            ap: film ``[x, z]`` of `xctrs_tf.data.xray.read_film`; normalised here.
            la: film ``[y, z]``.
            spacing_mm: edge of a pixel of both films, and so of a voxel; by
                default the median of the patients that the model has seen.

        Returns:
            `Reconstruction`.

        Raises:
            UserError: films of another size or without content, or no voxel size.
        """
        if spacing_mm is None:
            spacing_mm = self.metadata["spacing_mm"]
        if spacing_mm is None:
            raise UserError("--spacing_mm: missing, and the model does not know its voxel size")
        if not spacing_mm > 0:
            raise UserError(f"--spacing_mm={spacing_mm}: must be above 0")
        for film in (ap, la):
            if film.shape != (self.size, self.size):
                raise UserError(f"films: {film.shape}; the model takes {(self.size,) * 2}")
        batches = {
            view: normalise_film(film)[np.newaxis, ..., np.newaxis]
            for view, film in zip(VIEWS, (ap, la), strict=True)
        }
        outputs = self._predict(**batches)
        ct = np.asarray(outputs["ct"])[0, ..., 0]
        segmentation = None
        if "segmentation" in outputs:
            segmentation = np.asarray(outputs["segmentation"])[0].argmax(-1).astype(np.uint8)
        return Reconstruction(
            ct_hu=denormalise_hu(ct, self.metadata["window_hu"]),
            segmentation=segmentation,
            spacing_mm=spacing_mm,
            origin_mm=(-(self.size - 1) / 2 * spacing_mm,) * 3,
        )


def write_reconstruction(reconstruction, films, folder):
    """Write a reconstruction's folder, all of it or nothing.

    It holds ct.nii.gz in HU, segmentation.nii.gz if there is one, films.png (the
    films pixel by pixel as the model got them), preview.png and
    reconstruction.json. An earlier reconstruction in its place is replaced.

    Args:
        reconstruction: a `Reconstruction`.
        films: dict of ``ap`` and ``la``, as they were reconstructed.
        folder: the folder.

    Returns:
        List of the paths written.

    Raises:
        UserError: the folder holds something else, or cannot be made.
    """
    # Matplotlib takes a while to import, and a server never draws.
    from xctrs_tf.evaluation.preview import preview_figure

    check_output(folder)
    # A name of its own, even where the folder was given as ".".
    folder = pathlib.Path(folder).resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        ct_hu, labels = reconstruction.ct_hu, reconstruction.segmentation
        grid = (reconstruction.spacing_mm, reconstruction.origin_mm)
        write_volume(temporary / CT, ct_hu, *grid)
        if labels is not None:
            write_volume(temporary / SEGMENTATION, labels, *grid)
        films = {view: normalise_film(film) for view, film in films.items()}
        draw_network_view(temporary / FILMS, **films)
        preview_figure(temporary / PREVIEW, films, ct_hu, labels)
        write_text(temporary / RECORD, json.dumps(_record(reconstruction), indent=1) + "\n")
    return sorted(folder.iterdir())


def check_output(folder):
    """Refuse a folder that holds anything but an earlier reconstruction.

    Args:
        folder: the folder; it need not exist.

    Raises:
        UserError: it holds something else, or is no folder.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; choose another output folder")
    names = {entry.name for entry in folder.iterdir()}
    ours = {CT, SEGMENTATION, FILMS, PREVIEW, RECORD}
    if names and not (RECORD in names and names <= ours):
        raise UserError(f"{folder}: holds other files; choose an empty output folder")


def _record(reconstruction):
    segmented = reconstruction.segmentation is not None
    return {
        "format": FORMAT,
        "notice": NOTICE,
        "spacing_mm": reconstruction.spacing_mm,
        "labels": dict(enumerate(VERTEBRAE, start=1)) if segmented else None,
    }
