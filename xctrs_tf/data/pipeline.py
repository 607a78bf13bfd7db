"""The endless stream of training batches, the same whether or not it was interrupted."""

import functools

import numpy as np
import tensorflow as tf

from xctrs_tf.data.augmentation import augmentations, augmented_arrays, check_projection
from xctrs_tf.errors import UserError

# Whole data sets up to this size stay in memory after the first epoch.
CACHE_BYTES = 2 * 1024**3
DTYPES = {"ap": tf.float32, "la": tf.float32, "ct": tf.float32, "segmentation": tf.uint8}


def training_pipeline(
    dataset,
    ids,
    batch_size,
    seed,
    start_step=0,
    augment=False,
    reconstruct=None,
    replicas=1,
    worker=(0, 1),
):
    """Batches of shuffled patients, without end.

    Sample ``i`` of the stream is a function of ``(seed, i)`` alone, so a run that
    resumes at ``start_step`` sees the batches that it would have seen. Every
    patient comes once an epoch; a batch may reach over the end of one.

    Args:
        dataset: a `Dataset`.
        ids: patients to train on.
        batch_size: patients a batch.
        seed: of the order and of the augmentation.
        start_step: first batch.
        augment: names of `augmentation.STREAMS`; True is ``("mirror",)``, every
            second patient left to right, by chance.
        reconstruct: function from a patient's id to a reconstruction ``[x, y,
            z]`` that was made before, or None.
        replicas: equal parts that each batch is dealt out in, one after another.
        worker: ``(index, number)`` of the machine, whose replicas' parts are the
            only ones in the stream.

    Returns:
        `tf.data.Dataset` of dicts: ``ap``, ``la`` ``(batch, size, size, 1)`` and
        ``ct`` ``(batch, size, size, size, 1)``, float32 in [0, 1], and
        ``segmentation`` int32 ``(batch, size, size, size)``; with ``reconstruct``
        also ``reconstruction`` like ``ct``.

    Raises:
        UserError: fewer patients than a batch holds, or an augmentation that is
            unknown or that the films' geometry does not allow.
    """
    names = augmentations(augment)
    check_projection(names, dataset.manifest["projection"])
    if len(ids) < batch_size:
        raise UserError(
            f"batch size {batch_size}: only {len(ids)} training patients; "
            "lower it or prepare more patients"
        )
    fits = len(ids) * _bytes_of_a_case(dataset.size) <= CACHE_BYTES
    load = functools.cache(dataset.load) if fits else dataset.load
    dtypes, shapes = dict(DTYPES), _shapes(dataset.size)
    if reconstruct is not None:
        dtypes["reconstruction"], shapes["reconstruction"] = tf.float32, shapes["ct"]

    this, workers = worker
    share = batch_size // workers

    def sample(position):
        step, place = divmod(int(position), share)
        index = step * batch_size + this * share + place
        patient = _patient_at(ids, seed, index)
        reconstruction = None if reconstruct is None else reconstruct(patient)
        arrays = augmented_arrays(load(patient), names, seed, index, reconstruction)
        return tuple(arrays[name] for name in dtypes)

    def to_tensors(position):
        values = tf.numpy_function(sample, [position], tuple(dtypes.values()), stateful=False)
        tensors = dict(zip(dtypes, values, strict=True))
        for name, tensor in tensors.items():
            tensor.set_shape(shapes[name])
        tensors["segmentation"] = tf.cast(tensors["segmentation"], tf.int32)
        return tensors

    return (
        tf.data.Dataset.counter(start_step * share)
        .map(to_tensors, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size // replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def batch_ids(ids, batch_size, seed, step):
    """Patients of one batch of `training_pipeline`, in their order."""
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


def _shapes(size):
    film, volume = (size, size, 1), (size, size, size)
    return {"ap": film, "la": film, "ct": (*volume, 1), "segmentation": volume}
