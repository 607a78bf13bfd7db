"""The samples of a training run, each a function of the seed and its number alone."""

import functools
import logging

import numpy as np

from xctrs_tf.data.dataset.mixture import part_and_position
from xctrs_tf.data.stream.augmentation import (
    OF_THE_SCAN,
    augmentation_shares,
    augmented_arrays,
    check_projection,
)
from xctrs_tf.errors import UserError

# Whole data sets up to this size stay in memory after the first epoch.
CACHE_BYTES = 2 * 1024**3
# Number of the random generator of the VGG planes; no augmentation may have it.
_PLANES = 5


class SampleStream:
    """Endless stream of shuffled patients as network input.

    Sample ``i`` is a function of ``(seed, i)`` alone, so a resumed run sees the
    samples that an uninterrupted one would see. Every patient comes once an epoch of
    their folder.

    Args:
        parts: list of `mixture.Part`, the folders with their training patients.
        batch_size: patients of a step; not more than each folder has.
        seed: of the order, the augmentation and the VGG planes.
        augment: entries as `augmentation.augmentation_shares` takes them.
        reconstruct: function from a patient's id to a reconstruction ``[x, y,
            z]`` that was made before, or None.
        vgg_slices: planes of each view that are drawn for a step's VGG loss; 0
            where it needs none.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.
        uses_films: whether a network gets the films; else they need not follow the augmentation.

    Attributes:
        names: keys of every sample.
        size: voxels a side.
        batch_size: patients a batch.
        error: what stopped the reading of a sample, or None. A pipeline that reads in
            other threads loses the type of an exception.

    Raises:
        UserError: fewer patients than a batch holds, or an augmentation that is
            unknown or that the films' geometry does not allow.
    """

    def __init__(
        self,
        parts,
        batch_size,
        seed,
        augment=(),
        reconstruct=None,
        vgg_slices=0,
        film_normalization="percentile",
        uses_films=True,
    ):
        self.error = None
        self._augment = tuple(augment)
        shares = augmentation_shares(self._augment)
        for part in parts:
            if uses_films:
                check_projection(shares, part.dataset.manifest["projection"])
            if len(part.ids) < batch_size:
                raise UserError(
                    f"batch size {batch_size}: only {len(part.ids)} training patients in "
                    f"{part.dataset.path}; lower it or prepare more patients"
                )
        self.size = parts[0].dataset.size
        self.batch_size = batch_size
        self._parts = parts
        self._seed = seed
        self._reconstruct = reconstruct
        self._vgg_slices = vgg_slices
        self._film_normalization = film_normalization
        self._loads = _cached([self._load_of(part.dataset) for part in parts], parts)
        made_before = () if reconstruct is None else ("reconstruction",)
        self.names = ("ap", "la", "ct", "segmentation", *made_before)

    def __getitem__(self, index):
        """Return a dict of arrays like `network_arrays`, with ``reconstruction`` where made.

        Raises:
            UserError: the patient's files are damaged or show nothing; also kept in `error`.
        """
        part, patient = _patient_at(self._parts, self._seed, index)
        try:
            reconstruction = None if self._reconstruct is None else self._reconstruct(patient)
            return augmented_arrays(
                self._loads[part](patient),
                self._augment,
                self._seed,
                index,
                reconstruction,
                self._film_normalization,
            )
        except UserError as error:
            named = str(error) if patient in str(error) else f"patient {patient}: {error}"
            self.error = UserError(named)
            raise self.error from error

    def _load_of(self, dataset):
        """Return the function that reads a patient of a folder, and the bytes of one."""
        shows = [name for name in OF_THE_SCAN if name in augmentation_shares(self._augment)]
        with_scan = bool(shows) and dataset.keeps_scans
        if shows and not with_scan:
            logging.warning(
                "augment %s: %s holds no scans (prepare --keep_scan), so they show the crops alone",
                shows[0],
                dataset.path,
            )
        load = functools.partial(dataset.load, with_scan=True) if with_scan else dataset.load
        return load, dataset.bytes_of_a_case(with_scan)

    def of_step(self, step):
        """Return the arrays that all patients of a step share.

        Args:
            step: number of the batch, from 0.

        Returns:
            Dict of ``vgg_planes``, see `vgg_planes`; empty without VGG slices.
        """
        if not self._vgg_slices:
            return {}
        return {"vgg_planes": vgg_planes(self.size, self._vgg_slices, self._seed, step)}


def vgg_planes(size, count, seed, step):
    """Draw the planes that the VGG loss compares in one step.

    Args:
        size: planes of a view to draw from.
        count: planes of a view to draw.
        seed: of the run.
        step: number of the batch, from 0.

    Returns:
        int32 array ``(3, count)``: distinct positions along x, y and z, each view
        uniform over all subsets and independent of the others.
    """
    rng = np.random.default_rng([seed, int(step), _PLANES])
    return np.stack([rng.permutation(size)[:count] for _ in range(3)]).astype(np.int32)


def batch_ids(parts, batch_size, seed, step):
    """Return the patients of one batch of a training run, in their order."""
    first = step * batch_size
    return [_patient_at(parts, seed, index)[1] for index in range(first, first + batch_size)]


def _patient_at(parts, seed, index):
    """Return the number of a sample's part, and its patient."""
    part, place = part_and_position(tuple(each.share for each in parts), seed, index)
    ids = parts[part].ids
    epoch, position = divmod(place, len(ids))
    return part, ids[_permutation(len(ids), seed, epoch)[position]]


def _cached(loads, parts):
    """Return the functions that read a patient, which keep what they read where all fits."""
    total = sum(len(part.ids) * size for part, (_, size) in zip(parts, loads, strict=True))
    functions = [load for load, _ in loads]
    return [functools.cache(load) for load in functions] if total <= CACHE_BYTES else functions


@functools.lru_cache(maxsize=16)
def _permutation(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length)
