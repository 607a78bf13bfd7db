"""Connections between the nodes: the index pattern of Eq. 2, 3, 8 and 12."""

import keras
import pytest
from keras import layers

from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.multiscale import hierarchical_decoder, multi_path_encoder, multi_scale_fusion

STYLE = Style(rank=3, normalization="group")
SPATIAL = (8, 16, 24)


def _edges(model):
    """Return the layer names of the D and U blocks, without the layers inside them."""
    names = {layer.name for layer in model.layers}
    return sorted({name.rsplit("_", 1)[0] for name in names if "_d_" in name or "_u_" in name})


def test_encoder_has_the_edges_of_equation_12():
    x = layers.Input((*SPATIAL, 1))
    paths = [[(4, 4)] * 5, [(8, 8)] * 4, [(12, 12)] * 3, [(16, 16)] * 2]
    features = multi_path_encoder(x, paths, STYLE, "e")
    assert [f.shape[1:] for f in features] == [
        (8, 16, 24, 4),
        (4, 8, 12, 8),
        (2, 4, 6, 12),
        (1, 2, 3, 16),
    ]
    # Scale, node <- source scale, node; a U from node l - k exists from node 1 on.
    up_edges = ["s1_3_u_s2_1", "s1_4_u_s2_2", "s1_4_u_s4_1", "s1_5_u_s2_3", "s1_5_u_s4_2"]
    up_edges += ["s1_5_u_s8_1", "s2_3_u_s4_1", "s2_4_u_s4_2", "s2_4_u_s8_1", "s4_3_u_s8_1"]
    down_edges = ["s2_2_d_s1_2", "s2_3_d_s1_3", "s2_4_d_s1_4", "s4_2_d_s1_3", "s4_2_d_s2_2"]
    down_edges += ["s4_3_d_s1_4", "s4_3_d_s2_3", "s8_2_d_s1_4", "s8_2_d_s2_3", "s8_2_d_s4_2"]
    expected = sorted(f"e_{edge}" for edge in up_edges + down_edges)
    assert _edges(keras.Model(x, features)) == expected


def test_fusion_joins_every_scale_with_every_other():
    shapes = [(8, 16, 24, 4), (4, 8, 12, 8), (2, 4, 6, 12)]
    inputs = [layers.Input(shape) for shape in shapes]
    fused = multi_scale_fusion(inputs, STYLE, "f")
    assert [f.shape[1:] for f in fused] == shapes
    assert _edges(keras.Model(inputs, fused)) == [
        "f_s1_u_s2",
        "f_s1_u_s4",
        "f_s2_d_s1",
        "f_s2_u_s4",
        "f_s4_d_s1",
        "f_s4_d_s2",
    ]


def test_decoder_ends_at_the_finest_shape():
    inputs = [layers.Input(shape) for shape in [(8, 16, 24, 4), (4, 8, 12, 8), (2, 4, 6, 12)]]
    assert hierarchical_decoder(inputs, STYLE, "d").shape[1:] == (8, 16, 24, 4)


@pytest.mark.parametrize("rank", [2, 3])
def test_one_encoder_serves_both_ranks(rank):
    x = layers.Input((*SPATIAL[:rank], 1))
    features = multi_path_encoder(
        x, [[(4, 4)] * 2, [(8, 8)]], Style(rank=rank, normalization="instance"), "e"
    )
    assert len(features[0].shape) == rank + 2
