"""Reconstruction of a CT and its vertebrae C1..C7 from two films by exported models."""

from xctrs_tf.reconstruction.ensemble import ReconstructorEnsemble, load
from xctrs_tf.reconstruction.output_folder import check_output, is_finished, write_reconstruction
from xctrs_tf.reconstruction.reconstructor import Reconstruction, Reconstructor

__all__ = [
    "Reconstruction",
    "Reconstructor",
    "ReconstructorEnsemble",
    "check_output",
    "is_finished",
    "load",
    "write_reconstruction",
]
