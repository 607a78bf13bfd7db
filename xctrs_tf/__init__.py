"""X-CTRSNet in Keras: a cervical-spine CT and its C1..C7 segmentation from two X-rays.

    model = xctrs_tf.load()  # a trained model, with which films are reconstructed
    segmenter = xctrs_tf.load_segmenter()  # a trained network that labels C1..C7 in CT scans
    networks = xctrs_tf.XCTRSNet(size=64)  # the networks of the paper, untrained

docs/python.md has examples.
"""

import os as _os

# Without oneDNN TensorFlow's 3D convolutions are 5 to 75 times slower on a CPU
# (docs/performance.md). TensorFlow leaves it off where the CPU lacks
# AVX512-VNNI, and reads the variable only once, at its first import.
_os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"


__all__ = ["XCTRSNet", "load", "load_segmenter"]


def __getattr__(name):
    # Imported at first use (PEP 562): `import xctrs_tf` itself loads neither Keras nor
    # TensorFlow.
    if name == "load":
        from xctrs_tf.reconstruction import load

        return load
    if name == "load_segmenter":
        from xctrs_tf.ct_segmentation.segmenter import load_segmenter

        return load_segmenter
    if name == "XCTRSNet":
        from xctrs_tf.models.xctrsnet import XCTRSNet

        return XCTRSNet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
