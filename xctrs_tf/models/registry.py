"""Every network by its name: the paper's own and those that it compares with."""

from xctrs_tf.models import baselines
from xctrs_tf.models.mulsisnet import MulSISNet
from xctrs_tf.models.spadrnet import SpaDRNet

# Factories ``(size, width=..., name=...)`` from {"ap", "la"} to a CT, and from a
# CT to class probabilities.
RECONSTRUCTION = {"spadrnet": SpaDRNet, **baselines.RECONSTRUCTION}
SEGMENTATION = {"mulsisnet": MulSISNet, **baselines.SEGMENTATION}
