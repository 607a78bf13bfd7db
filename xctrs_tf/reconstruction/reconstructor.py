"""Reconstruction of two films by one loaded model."""

import dataclasses

import numpy as np

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION, normalise_film
from xctrs_tf.data.films.pair.view_check import check_two_films
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction.prediction_check import checked_spacing, model_volumes


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """CT and segmentation of one patient, on a grid along the LPS axes.

    The films do not tell the patient's position, so the origin is the middle of the
    volume.

    Attributes:
        ct_hu: int16 CT numbers ``[x, y, z]`` in HU.
        segmentation: uint8 labels ``[x, y, z]``, 1..7 = C1..C7, or None if the
            model does not segment.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        spread_hu: float32 ``[x, y, z]``, standard deviation between several models
            in HU, or None.
        uncertainty: ``summary`` of `reconstruction.uncertainty.combine`, or None.
    """

    ct_hu: np.ndarray
    segmentation: np.ndarray | None
    spacing_mm: float
    origin_mm: tuple
    spread_hu: np.ndarray | None = None
    uncertainty: dict | None = None


class Reconstructor:
    """Loaded model that maps two films to a `Reconstruction`.

    Args:
        predict: function from the keywords ``ap`` and ``la``, batches, to a dict
            of batches ``ct`` and, if the model segments, ``segmentation``.
        metadata: metadata of the exported model.
        source: the model's folder, for messages.

    Attributes:
        metadata: as given.
        size: pixels a side of the films.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.
    """

    def __init__(self, predict, metadata, source="model"):
        self._predict, self._source = predict, source
        self.metadata = metadata
        self.size = metadata["size"]
        # Metadata written by hand in a program need not tell it.
        self.film_normalization = metadata.get("film_normalization", FIRST_FILM_NORMALIZATION)

    def __call__(self, ap=None, la=None, spacing_mm=None):
        """Reconstruct one patient.

        Args:
            ap: film ``[x, z]`` of `xctrs_tf.data.films.film.read_film`; normalised here.
            la: film ``[y, z]``.
            spacing_mm: edge of a pixel of both films and of a voxel; by default the
                median of the training patients.

        Returns:
            `Reconstruction`.

        Raises:
            UserError: one film only, films of another size or constant films, no voxel
                size or an impossible one, or a model that fails or gives no volumes.
        """
        check_two_films({"ap": ap, "la": la})
        if spacing_mm is None:
            spacing_mm = self.metadata["spacing_mm"]
        if spacing_mm is None:
            raise UserError("--spacing_mm: missing, and the model does not know its voxel size")
        spacing_mm = checked_spacing(spacing_mm, self.size, "--spacing_mm")
        for film in (ap, la):
            if film.shape != (self.size, self.size):
                raise UserError(f"films: {film.shape}; the model takes {(self.size,) * 2}")
        batches = {
            view: normalise_film(film, self.film_normalization)[np.newaxis, ..., np.newaxis]
            for view, film in zip(VIEWS, (ap, la), strict=True)
        }
        # Metadata written by hand in a program need not tell the classes.
        segments = self.metadata["classes"] is not None if "classes" in self.metadata else None
        window_hu = self.metadata["window_hu"]
        ct_hu, labels = model_volumes(
            self._run(batches), self.size, window_hu, segments, f"{self._source}: the model"
        )
        return Reconstruction(
            ct_hu=ct_hu,
            segmentation=labels,
            spacing_mm=spacing_mm,
            origin_mm=(-(self.size - 1) / 2 * spacing_mm,) * 3,
        )

    def _run(self, batches):
        try:
            outputs = self._predict(**batches)
            return {name: np.asarray(output) for name, output in outputs.items()}
        # A model is a program of someone else: its runtime may raise anything.
        except Exception as error:
            raise UserError(
                f"{self._source}: the model fails ({type(error).__name__}: {one_line(error, 200)})"
            ) from error
