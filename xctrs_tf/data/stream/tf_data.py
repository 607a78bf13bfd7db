"""The endless stream of training batches, the same whether or not it was interrupted."""

import os

import tensorflow as tf

# Patients that are read at once, and batches that wait to be computed with.
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
    """Batches of shuffled patients, without end.

    Sample ``i`` of the stream is a function of ``(seed, i)`` alone, so a run that
    resumes at ``start_step`` sees the batches that it would have seen. A batch may
    reach over the end of an epoch.

    Args:
        samples: `xctrs_tf.data.stream.sample_stream.SampleStream`.
        start_step: first batch.
        replicas: equal parts that each batch is dealt out in, one after another.
        worker: ``(index, number)`` of the machine, whose replicas' parts are the
            only ones in the stream.

    Returns:
        `tf.data.Dataset` of dicts: ``ap``, ``la`` ``(batch, size, size, 1)`` and
        ``ct`` ``(batch, size, size, size, 1)``, float32 in [0, 1], and
        ``segmentation`` int32 ``(batch, size, size, size)``; ``reconstruction``
        like ``ct`` where it was made before.
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

    return (
        tf.data.Dataset.counter(start_step * share)
        .map(to_tensors, num_parallel_calls=_AT_ONCE)
        .batch(batch_size // replicas, drop_remainder=True)
        .prefetch(_AHEAD)
        .with_options(_options())
    )


def _options():
    options = tf.data.Options()
    # An iterator waits at its end for the thread that tunes it, which can miss its
    # call and sleep on for up to a minute: a stopped run would be there as long.
    options.autotune.enabled = False
    return options


def _shapes(size):
    film, volume = (size, size, 1), (size, size, size)
    ct = (*volume, 1)
    return {"ap": film, "la": film, "ct": ct, "reconstruction": ct, "segmentation": volume}
