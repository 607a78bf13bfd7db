"""Training batches of a data folder."""

from xctrs_tf.data.dataset.mixture import one_part
from xctrs_tf.data.stream import tf_data as pipeline
from xctrs_tf.data.stream.sample_stream import SampleStream


def training_pipeline(
    dataset,
    ids,
    batch_size,
    seed,
    start_step=0,
    augment=(),
    reconstruct=None,
    vgg_slices=0,
    **parts,
):
    """Return the training pipeline of a stream of samples."""
    samples = SampleStream(
        one_part(dataset, ids), batch_size, seed, augment, reconstruct, vgg_slices
    )
    return pipeline.training_pipeline(samples, start_step, **parts)
