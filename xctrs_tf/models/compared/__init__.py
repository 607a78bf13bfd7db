"""The eight networks that the paper compares with (Tables 2 and 3), as factories.

Every factory gives a `keras.Model` and takes ``size`` (voxels a side: 32, 64 or
128; anything else is a ValueError), ``width`` (multiplies every width),
``batch_size`` (fixes the batch; only for counting operations) and ``name``; a
segmentation network also ``num_classes``, background included. What else it
takes is in its docstring, with the publication and the licence of the original.

Reconstruction networks take a dict of ``ap`` ``(batch, x, z, 1)`` and ``la``
``(batch, y, z, 1)``, films in [0, 1], and give ``ct`` ``(batch, x, y, z, 1)`` in
float32, trained on intensities in [0, 1].

Segmentation networks take ``ct`` ``(batch, x, y, z, 1)`` and give ``segmentation``
``(batch, x, y, z, num_classes)``, probabilities in float32.

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
