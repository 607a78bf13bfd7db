"""Every network by its name: the paper's own and those that it compares with."""

from xctrs_tf.models import compared
from xctrs_tf.models.mulsisnet import MulSISNet
from xctrs_tf.models.spadrnet import SpaDRNet

# Factories ``(size, width=..., name=...)`` from {"ap", "la"} to a CT, and from a
# CT to class probabilities.
RECONSTRUCTION = {"spadrnet": SpaDRNet, **compared.RECONSTRUCTION}
SEGMENTATION = {"mulsisnet": MulSISNet, **compared.SEGMENTATION}
