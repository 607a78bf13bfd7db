"""Phantoms: CT and C1..C7 labels of a cervical spine for any seed and grid."""

from xctrs_tf.data.phantom.phantom import Phantom, make_phantom

__all__ = ["Phantom", "make_phantom"]
