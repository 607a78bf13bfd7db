"""The training loss: a weighted sum of terms of the reconstruction and the segmentation."""

from xctrs_tf.training.objective.objective import Objective, make_objective

__all__ = ["Objective", "make_objective"]
