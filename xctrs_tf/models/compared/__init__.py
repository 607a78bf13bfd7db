"""Factories of the eight networks that the paper compares with (Tables 2 and 3).

Each file is one network, with the layers that it alone has. The docstring of a
factory names the publication and the licence of the original.

Networks with ``training_heads`` in `xctrs_tf.models.catalogue` give a dict with further
outputs if they are built with ``training_heads=True``; `without_training_heads` takes
them off again.
"""

from xctrs_tf.models.compared.common import without_training_heads
from xctrs_tf.models.compared.conresnet import ConResNet
from xctrs_tf.models.compared.cs2net import CS2Net
from xctrs_tf.models.compared.densebiasnet import DenseBiasNet
from xctrs_tf.models.compared.dsn import DSN
from xctrs_tf.models.compared.psr import PSR
from xctrs_tf.models.compared.sit import SIT
from xctrs_tf.models.compared.unet3d import UNet3D
from xctrs_tf.models.compared.x2ct_discriminator import X2CTDiscriminator
from xctrs_tf.models.compared.x2ctgan import X2CTGAN

__all__ = [
    "DSN",
    "PSR",
    "SIT",
    "X2CTGAN",
    "CS2Net",
    "ConResNet",
    "DenseBiasNet",
    "UNet3D",
    "X2CTDiscriminator",
    "without_training_heads",
]
