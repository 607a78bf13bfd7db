"""The patients of a training run one after another, the same whether or not it was interrupted."""

import functools

import numpy as np

from xctrs_tf.data.stream.augmentation import augmentations, augmented_arrays, check_projection
from xctrs_tf.errors import UserError

# Whole data sets up to this size stay in memory after the first epoch.
CACHE_BYTES = 2 * 1024**3


class SampleStream:
    """Shuffled patients without end, as the networks see them.

    Sample ``i`` is a function of ``(seed, i)`` alone. Every patient comes once an
    epoch.

    Args:
        dataset: a `Dataset`.
        ids: patients to train on.
        batch_size: patients of a step, of which there have to be as many.
        seed: of the order and of the augmentation.
        augment: names of `augmentation.STREAMS`, or True for mirroring.
        reconstruct: function from a patient's id to a reconstruction ``[x, y,
            z]`` that was made before, or None.

    Attributes:
        names: keys of every sample.
        size: voxels a side.
        batch_size: patients a batch.

    Raises:
        UserError: fewer patients than a batch holds, or an augmentation that is
            unknown or that the films' geometry does not allow.
    """

    def __init__(self, dataset, ids, batch_size, seed, augment=False, reconstruct=None):
        self._augmentations = augmentations(augment)
        check_projection(self._augmentations, dataset.manifest["projection"])
        if len(ids) < batch_size:
            raise UserError(
                f"batch size {batch_size}: only {len(ids)} training patients; "
                "lower it or prepare more patients"
            )
        self.size = dataset.size
        self.batch_size = batch_size
        self._ids = ids
        self._seed = seed
        self._reconstruct = reconstruct
        fits = len(ids) * _bytes_of_a_case(dataset.size) <= CACHE_BYTES
        self._load = functools.cache(dataset.load) if fits else dataset.load
        made_before = () if reconstruct is None else ("reconstruction",)
        self.names = ("ap", "la", "ct", "segmentation", *made_before)

    def __getitem__(self, index):
        """Dict of arrays like `network_arrays`, with ``reconstruction`` where it was made."""
        patient = _patient_at(self._ids, self._seed, index)
        reconstruction = None if self._reconstruct is None else self._reconstruct(patient)
        return augmented_arrays(
            self._load(patient), self._augmentations, self._seed, index, reconstruction
        )


def batch_ids(ids, batch_size, seed, step):
    """Patients of one batch of a training run, in their order."""
    first = step * batch_size
    return [_patient_at(ids, seed, index) for index in range(first, first + batch_size)]


def _patient_at(ids, seed, index):
    epoch, position = divmod(int(index), len(ids))
    return ids[_permutation(len(ids), seed, epoch)[position]]


@functools.lru_cache(maxsize=16)
def _permutation(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length)


def _bytes_of_a_case(size):
    ct_and_segmentation = size**3 * (2 + 1)
    films = 2 * size**2 * 4
    return ct_and_segmentation + films
