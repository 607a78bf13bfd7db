"""Patients in memory, with the interface of a prepared data folder."""

import types

import numpy as np

from xctrs_tf.data.dataset import Case, Dataset, Split
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.training.config import TrainingConfig

SIZE = 32


def make_case(name="p1", seed=0, hu=0):
    """Return a neck of constant CT number ``hu`` with seven stacked boxes as vertebrae."""
    generator = np.random.default_rng(seed)
    ct = np.full((SIZE, SIZE, SIZE), hu, "int16")
    segmentation = np.zeros(ct.shape, "uint8")
    for label in range(1, 8):
        z = 28 - 3 * label
        segmentation[10:20, 12:24, z : z + 3] = label
    ct[segmentation > 0] = 700
    return Case(
        id=name,
        ct=ct,
        segmentation=segmentation,
        ap=generator.random((SIZE, SIZE), "float32"),
        la=generator.random((SIZE, SIZE), "float32"),
        spacing_mm=4.0,
        origin_mm=(0.0, 0.0, 0.0),
    )


class MemoryDataset:
    """Data folder in memory; the last case is for testing, the last but one for validation."""

    def __init__(self, cases, path="DATA"):
        self.cases = {case.id: case for case in cases}
        self.ids = list(self.cases)
        self.size = SIZE
        self.path = path
        self.label_name = "Dice"
        self.films = FilmSimulation()
        self.spacing_mm = cases[0].spacing_mm

    def overlap_name(self, given=None):
        return given or self.label_name

    def load(self, patient):
        return self.cases[patient]

    def split(self, fold):
        assert fold == 0
        return Split(training=self.ids[:-2], validation=self.ids[-2:-1], test=self.ids[-1:])

    def content_hash(self):
        return "0" * 64

    def split_hash(self, fold):
        return f"without {', '.join(self.split(fold).test)}"

    def sources(self):
        return [{"source": "test", "licence": "none", "patients": len(self.ids)}]

    def fold_with(self, split_sha256):
        return 0 if split_sha256 == self.split_hash(0) else None

    is_data_of = Dataset.is_data_of

    def identity(self, patient):
        return set()


def make_run(reconstruct, segment, path="RUN"):
    """Return a run whose networks are functions of NumPy batches."""
    return types.SimpleNamespace(
        path=path,
        step=7,
        config=TrainingConfig(fold=0, seed=3),
        reconstruction=lambda films, training: reconstruct(films),
        segmentation=segment and (lambda ct, training: segment(ct)),
        computed_in=["float32"],
        weights_sha256="e" * 64,
    )
