"""Networks of the catalogue with fewer nodes: all kinds of blocks, built and traced sooner."""

import dataclasses

from xctrs_tf.models import mulsisnet, spadrnet
from xctrs_tf.models.catalogue import NETWORKS
from xctrs_tf.models.compared import x2ctgan

# The second node of path 2 takes a finer node in, the third of path 1 a coarser one.
_NUM_NODES = (3, 2, 1, 1)


def SpaDRNet(size, width=1.0, **arguments):
    """Build `spadrnet.SpaDRNet` with 5 nodes in place of 10."""
    counts = (2, 1, 1, 1)
    filters = [path[:n] for path, n in zip(spadrnet.NODE_FILTERS, counts, strict=True)]
    return spadrnet.SpaDRNet(size, width, node_filters=filters, **arguments)


def MulSISNet(size, width=1.0, **arguments):
    """Build `mulsisnet.MulSISNet` with 7 nodes in place of 14."""
    return mulsisnet.MulSISNet(size, width=width, num_nodes=_NUM_NODES, **arguments)


def X2CTGAN(size, width=1.0, **arguments):
    """Build `x2ctgan.X2CTGAN` with one dense layer a block."""
    return x2ctgan.X2CTGAN(size, width=width, dense_layers=(1,) * 5, **arguments)


def use_shallow_networks(monkeypatch):
    """Put these networks into the catalogue."""
    for factory in (SpaDRNet, MulSISNet, X2CTGAN):
        name = factory.__name__.lower()
        network = dataclasses.replace(NETWORKS[name], path=f"{__name__}:{factory.__name__}")
        monkeypatch.setitem(NETWORKS, name, network)
