"""Training batches as NumPy arrays, the same as those of `tf_data`, without TensorFlow."""

import collections
import concurrent.futures
import itertools

import numpy as np

# Batches that are prepared while the networks work on one.
_AHEAD = 2


def numpy_batches(samples, start_step=0):
    """Yield batches without end, prepared ahead by threads.

    Args:
        samples: `xctrs_tf.data.stream.sample_stream.SampleStream`.
        start_step: first batch.

    Yields:
        Dicts of arrays, with the keys and shapes of `training_pipeline`.
    """
    batch_size = samples.batch_size

    def make(step):
        rows = [samples[index] for index in range(step * batch_size, (step + 1) * batch_size)]
        batch = {name: np.stack([row[name] for row in rows]) for name in samples.names}
        batch["segmentation"] = batch["segmentation"].astype(np.int32)
        return {**batch, **samples.of_step(step)}

    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as threads:
        waiting = collections.deque()
        for step in itertools.count(start_step):
            waiting.append(threads.submit(make, step))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
