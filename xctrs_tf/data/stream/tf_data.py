"""Training batches as a `tf.data` pipeline."""

import os

import tensorflow as tf

# Patients that are read at once, and batches that are prepared while the networks work on one.
_AT_ONCE = min(8, os.cpu_count() or 1)
_AHEAD = 2

DTYPES = {
    "ap": tf.float32,
    "la": tf.float32,
    "ct": tf.float32,
    "reconstruction": tf.float32,
    "segmentation": tf.uint8,
}


def training_pipeline(samples, start_step=0, replicas=1, worker=(0, 1)):
    """Return batches of shuffled patients, without end.

    A run that resumes at ``start_step`` sees the batches that an uninterrupted one
    would see. A batch may reach over the end of an epoch.

    Args:
        samples: `xctrs_tf.data.stream.sample_stream.SampleStream`.
        start_step: first batch.
        replicas: equal parts that each batch is split into, one element each.
        worker: ``(index, number)`` of the machine; the stream has only the parts
            of its replicas.

    Returns:
        `tf.data.Dataset` of dicts: ``ap``, ``la`` ``(batch, size, size, 1)`` and
        ``ct`` ``(batch, size, size, size, 1)``, float32 in [0, 1], and
        ``segmentation`` int32 ``(batch, size, size, size)``; ``reconstruction``
        like ``ct`` where it was made before; ``vgg_planes`` int32 ``(3, slices)``
        where the step draws planes, the same for all parts of a batch.
    """
    dtypes = {name: DTYPES[name] for name in samples.names}
    shapes = _shapes(samples.size)
    batch_size = samples.batch_size
    this, workers = worker
    share = batch_size // workers

    def sample(position):
        step, place = divmod(int(position), share)
        arrays = samples[step * batch_size + this * share + place]
        return tuple(arrays[name] for name in dtypes)

    def to_tensors(position):
        values = tf.numpy_function(sample, [position], tuple(dtypes.values()), stateful=False)
        tensors = dict(zip(dtypes, values, strict=True))
        for name, tensor in tensors.items():
            tensor.set_shape(shapes[name])
        tensors["segmentation"] = tf.cast(tensors["segmentation"], tf.int32)
        return tensors

    batches = (
        tf.data.Dataset.counter(start_step * share)
        .map(to_tensors, num_parallel_calls=_AT_ONCE)
        .batch(batch_size // replicas, drop_remainder=True)
    )
    shared = _of_steps(samples, start_step, replicas // workers)
    if shared is not None:
        batches = tf.data.Dataset.zip(batches, shared).map(lambda batch, more: {**batch, **more})
    return batches.prefetch(_AHEAD).with_options(_options())


def _of_steps(samples, start_step, parts):
    """Data set of `SampleStream.of_step`, each step once for every part, or None."""
    example = samples.of_step(start_step)
    if not example:
        return None
    dtypes = [array.dtype for array in example.values()]

    def of_step(position):
        return list(samples.of_step(int(position) // parts).values())

    def to_tensors(position):
        values = tf.numpy_function(of_step, [position], dtypes, stateful=False)
        tensors = dict(zip(example, values, strict=True))
        for name, tensor in tensors.items():
            tensor.set_shape(example[name].shape)
        return tensors

    return tf.data.Dataset.counter(start_step * parts).map(to_tensors)


def _options():
    options = tf.data.Options()
    # At its end an iterator waits for the thread that tunes it, which can miss the
    # call to stop and sleep for up to a minute more.
    options.autotune.enabled = False
    return options


def _shapes(size):
    film, volume = (size, size, 1), (size, size, size)
    ct = (*volume, 1)
    return {"ap": film, "la": film, "ct": ct, "reconstruction": ct, "segmentation": volume}
