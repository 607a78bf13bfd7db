"""Networks as factories in the manner of keras.applications."""

from xctrs_tf.models.mulsisnet import MulSISNet
from xctrs_tf.models.spadrnet import SpaDRNet
from xctrs_tf.models.xctrsnet import XCTRSNet

__all__ = ["MulSISNet", "SpaDRNet", "XCTRSNet"]
