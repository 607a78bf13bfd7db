"""A digital cervical spine: a CT and its C1..C7 labels for any seed and grid."""

from xctrs_tf.data.phantom.phantom import Phantom, make_phantom

__all__ = ["Phantom", "make_phantom"]
