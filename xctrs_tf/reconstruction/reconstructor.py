"""Reconstruction of two films by one loaded model."""

import abc
import dataclasses
import os
import pathlib
import typing

import numpy as np

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION, normalise_film
from xctrs_tf.data.films.pair.view_check import check_two_films
from xctrs_tf.errors import UserError, log_lines, one_line, os_error_text
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.geometry import VERTEBRAE, VIEWS, centred_origin
from xctrs_tf.models.mirroring import predict_with_mirrored
from xctrs_tf.provenance import now
from xctrs_tf.reconstruction.films.film_options import FilmOptions
from xctrs_tf.reconstruction.films.pair_reading import read_pair
from xctrs_tf.reconstruction.output_folder import check_output, write_reconstruction
from xctrs_tf.reconstruction.prediction_check import checked_spacing, model_volumes
from xctrs_tf.reconstruction.uncertainty import label_map
from xctrs_tf.report.provenance_record import model_record

if typing.TYPE_CHECKING:
    # Imported where it is needed: it loads scipy.
    from xctrs_tf.data.films.pair.film_pair import FilmPair


@dataclasses.dataclass(frozen=True, repr=False)
class Reconstruction:
    """CT and segmentation of one patient, on a grid along the LPS axes.

    The films do not tell the patient's position, so the origin is the middle of the volume.

    Attributes:
        ct_hu: int16 CT numbers ``[x, y, z]`` in HU.
        segmentation: uint8 labels ``[x, y, z]``, 1..7 = C1..C7, or None if the model has none.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        spread_hu: float32 ``[x, y, z]``, standard deviation between models in HU, or None.
        uncertainty: ``summary`` of `reconstruction.uncertainty.combine`, or None.
        films: dict of the films that it was made of: ``ap`` ``[x, z]`` and ``la``
            ``[y, z]``; None if it was made by hand.
        pair: `FilmPair` that the films were cut out of, or None if they were arrays.
        metadata: metadata of the model, for the report, or None.
        models: tuple of `provenance_record.model_record` of each model; empty if made by hand.
        mirror: the mean with the prediction of the mirrored patient.
        date: when it was made, UTC, as ISO 8601; None if it was made by hand.
    """

    ct_hu: np.ndarray
    segmentation: np.ndarray | None
    spacing_mm: float
    origin_mm: tuple
    spread_hu: np.ndarray | None = None
    uncertainty: dict | None = None
    films: dict | None = None
    pair: "FilmPair | None" = None
    metadata: dict | None = None
    models: tuple = ()
    mirror: bool = False
    date: str | None = None

    def __repr__(self):
        size = " x ".join(map(str, self.ct_hu.shape))
        return (
            f"Reconstruction({size} voxels of {self.spacing_mm:.3g} mm, {self.ct_hu.min()} to "
            f"{self.ct_hu.max()} HU, {self._labels_found()})"
        )

    def save(self, folder, *, report=True, dicom=False, share=False):
        """Write the files that `experiments.reconstruct` writes.

        They are ct.nii.gz, segmentation.nii.gz with its label tables, films.png,
        preview.png, reconstruction.json, and with several models spread_hu.nii.gz.

        Args:
            folder: made if it is not there. An earlier reconstruction in it is replaced.
            report: also write report.html, report.json and C1.stl to C7.stl; it takes seconds.
            dicom: also write dicom/: an anonymous CT series and segmentation.dcm.
            share: let other users of the machine read the folder.

        Returns:
            `quality.verdict.Verdict` of the quality checks, or None without a report.

        Raises:
            UserError: the reconstruction was made by hand, without its films; or the folder
                holds other files, cannot be written, or another process writes to it.
        """
        check_output(folder)
        try:
            with folder_lock(pathlib.Path(folder).resolve(), beside=True):
                return write_reconstruction(self, folder, report, dicom, private=not share)
        except OSError as error:
            raise UserError(os_error_text(error)) from error

    def plot(self, figure=None):
        """Draw the films and three planes of the CT with the outlines of the labels.

        Args:
            figure: `matplotlib.figure.Figure` or ``SubFigure`` to draw in; None makes a
                new one with pyplot, so that ``plt.show()`` shows it.

        Returns:
            The figure.

        Raises:
            UserError: the reconstruction was made by hand, without its films.
        """
        from xctrs_tf.evaluation.figures.case_figure import PREVIEW_INCHES, draw_preview

        films = self.normalised_films()
        if figure is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(figsize=PREVIEW_INCHES, facecolor="white")
        draw_preview(figure, films, self.ct_hu, self.segmentation)
        return figure

    def normalised_films(self):
        """Return the films in [0, 1], as they are drawn and judged.

        Raises:
            UserError: the reconstruction was made by hand, without its films.
        """
        if self.films is None:
            raise UserError(
                "Reconstruction: its films are not known; give them as films=... when you make it"
            )
        return {view: normalise_film(film) for view, film in self.films.items()}

    def _labels_found(self):
        if self.segmentation is None:
            return "not segmented"
        found = [name for label, name in enumerate(VERTEBRAE, 1) if label in self.segmentation]
        if len(found) == len(VERTEBRAE):
            return f"{found[0]} to {found[-1]}"
        return ", ".join(found) or "no vertebra"


class BaseReconstructor(abc.ABC):
    """One model, several, or a model on a server, that maps two films to a `Reconstruction`.

    Attributes:
        size: pixels a side of the films, and voxels a side of the CT.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.
        metadata: metadata of the model, or None.
    """

    metadata = None
    # Why there may be no voxel size.
    _no_spacing = "the model does not know its voxel size"

    def __call__(self, ap=None, la=None, spacing_mm=None, **film_options):
        """Reconstruct one patient.

        Files are read, cropped, turned, checked and resized as `experiments.reconstruct`
        does it; what was corrected or assumed is logged as warnings.

        Args:
            ap: AP film: its file (DICOM, PNG, TIFF, JPEG, JPEG 2000, NIfTI, NRRD or MetaImage)
                as str or path, or an array ``[x, z]`` ``(size, size)`` of
                `xctrs_tf.data.films.film.read_film` with the model's `film_normalization`.
            la: lateral film: its file, or an array ``[y, z]``.
            spacing_mm: edge of a voxel. By default that of the films' pixels, where their
                files or ``film_options`` tell it; else the median of the training patients.
            **film_options: fields of `reconstruction.films.film_options.FilmOptions`, for
                files alone, such as ``ap_crop_box=(310, 120, 1510, 1320)`` or
                ``la_flip_horizontal=True``.

        Returns:
            `Reconstruction`.

        Raises:
            UserError: one film only, films that cannot be read or are refused, arrays of
                another size or constant, no voxel size or an impossible one, or a model
                that fails or gives no volumes.
            TypeError: an option that does not exist.
        """
        films = {"ap": ap, "la": la}
        check_two_films(films)
        spacing_mm = self._checked_spacing(spacing_mm)
        options = FilmOptions(**film_options)
        if _are_files(films):
            pair = read_pair(films, options, self, spacing_mm)
            if pair.problem is None:
                log_lines(pair.remarks)
            return self.of_pair(pair)
        if film_options:
            raise UserError(
                f"{', '.join(film_options)}: for films that are given as files; an array is "
                "taken as it is"
            )
        return self._of_arrays(films, spacing_mm)

    def of_pair(self, pair):
        """Reconstruct one patient of two films that were read for this model.

        Args:
            pair: `FilmPair` of `reconstruction.films.pair_reading.read_pair`.

        Returns:
            `Reconstruction`, which keeps the pair.

        Raises:
            UserError: as of a call; or the pair is refused.
        """
        if pair.problem is not None:
            raise UserError(pair.problem)
        result = self._of_arrays(pair.films, self._checked_spacing(pair.spacing_mm))
        return dataclasses.replace(result, pair=pair)

    def __repr__(self):
        return f"{type(self).__name__}({self._name()}: {self.size}^3 voxels from two films)"

    @abc.abstractmethod
    def trained_spacing_mm(self):
        """Return the median edge of a voxel of the training patients, or None."""

    @abc.abstractmethod
    def _reconstruct(self, films, spacing_mm):
        """Return the `Reconstruction` of two arrays, which are of the right shape.

        ``spacing_mm`` is checked, or None.
        """

    @abc.abstractmethod
    def _name(self):
        """Return the model's folder or address."""

    def _checked_spacing(self, spacing_mm):
        """Return the edge of a voxel, which must be that of a neck; None stays None."""
        if spacing_mm is None:
            return None
        return checked_spacing(spacing_mm, self.size, "--spacing_mm")

    def _required_spacing(self, spacing_mm):
        spacing_mm = self._checked_spacing(spacing_mm)
        if spacing_mm is None:
            raise UserError(f"--spacing_mm: missing, and {self._no_spacing}")
        return spacing_mm

    def _of_arrays(self, films, spacing_mm):
        films = {view: self._checked_film(view, film) for view, film in films.items()}
        reconstruction = self._reconstruct(films, spacing_mm)
        return dataclasses.replace(reconstruction, films=films, metadata=self.metadata, date=now())

    def _checked_film(self, view, film):
        try:
            film = np.asarray(film)
        except ValueError as error:
            raise UserError(f"--{view}: neither a file nor an array of numbers") from error
        if film.dtype.kind not in "iuf":
            raise UserError(f"--{view}: neither a file nor an array of numbers")
        if film.shape != (self.size, self.size):
            raise UserError(f"films: {film.shape}; the model takes {(self.size,) * 2}")
        return film


class Reconstructor(BaseReconstructor):
    """Loaded model that maps two films to a `Reconstruction`.

    Args:
        predict: function from the keywords ``ap`` and ``la``, batches, to a dict
            of batches ``ct`` and, if the model segments, ``segmentation``.
        metadata: metadata of the exported model.
        source: the model's folder, for messages.
        mirror: average each prediction with that of the mirrored patient
            (`mirroring.predict_with_mirrored`), which takes twice the time.
        record: `provenance_record.model_record`; by default made of ``source`` and ``metadata``.

    Attributes:
        mirror: as given.
        record: as given, or made.
    """

    def __init__(self, predict, metadata, source="model", mirror=False, record=None):
        self._predict, self._source = predict, source
        self.record = record or model_record(pathlib.PurePath(source).name, metadata)
        self.metadata = metadata
        self.mirror = mirror
        self.size = metadata["size"]
        # Metadata written by hand in a program need not tell it.
        self.film_normalization = metadata.get("film_normalization", FIRST_FILM_NORMALIZATION)

    def trained_spacing_mm(self):
        """Return the median edge of a voxel of the training patients, or None."""
        return self.metadata["spacing_mm"]

    def _name(self):
        return self._source

    def _reconstruct(self, films, spacing_mm):
        if spacing_mm is None:
            spacing_mm = self._required_spacing(self.trained_spacing_mm())
        ct_hu, classes = self.volumes(films)
        return Reconstruction(
            ct_hu=ct_hu,
            segmentation=None if classes is None else label_map(classes),
            spacing_mm=spacing_mm,
            origin_mm=centred_origin(self.size, spacing_mm),
            models=(self.record,),
            mirror=self.mirror,
        )

    def volumes(self, films):
        """Return the CT and the probabilities of the classes.

        Args:
            films: dict of ``ap`` and ``la``, arrays of the right shape.

        Returns:
            ``(ct_hu, classes)`` of `prediction_check.model_volumes`.

        Raises:
            UserError: a film is constant, or the model fails or gives no volumes.
        """
        batches = {
            view: normalise_film(films[view], self.film_normalization)[np.newaxis, ..., np.newaxis]
            for view in VIEWS
        }
        # Metadata written by hand in a program need not tell the classes.
        segments = self.metadata["classes"] is not None if "classes" in self.metadata else None
        window_hu = self.metadata["window_hu"]
        return model_volumes(
            self._run(batches), self.size, window_hu, segments, f"{self._source}: the model"
        )

    def _arrays(self, batches):
        return {name: np.asarray(output) for name, output in self._predict(**batches).items()}

    def _run(self, batches):
        try:
            if self.mirror:
                return predict_with_mirrored(self._arrays, batches)
            return self._arrays(batches)
        # A model is a program of someone else: its runtime may raise anything.
        except Exception as error:
            raise UserError(
                f"{self._source}: the model fails ({type(error).__name__}: {one_line(error, 200)})"
            ) from error


def _are_files(films):
    """Return True for two files, False for two arrays."""
    files = {view for view, film in films.items() if isinstance(film, (str, os.PathLike))}
    if len(files) == 1:
        raise UserError("films: one is a file and one an array; give two of a kind")
    return bool(files)
