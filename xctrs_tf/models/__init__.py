"""Networks as factories in the manner of keras.applications."""

import importlib

_MODULES = {
    "MulSISNet": "xctrs_tf.models.mulsisnet",
    "SpaDRNet": "xctrs_tf.models.spadrnet",
    "XCTRSNet": "xctrs_tf.models.xctrsnet",
}
__all__ = ["MulSISNet", "SpaDRNet", "XCTRSNet"]


def __getattr__(name):
    # Lazy: `xctrs_tf.models.catalogue` is read by programs before they need Keras.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
