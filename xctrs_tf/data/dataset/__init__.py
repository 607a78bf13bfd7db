"""The prepared data folder: writing, checking and reading it."""

from xctrs_tf.data.dataset.dataset import Case, Dataset, Split, network_arrays, open_dataset

__all__ = ["Case", "Dataset", "Split", "network_arrays", "open_dataset"]
