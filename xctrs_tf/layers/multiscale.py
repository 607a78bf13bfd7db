"""Multi-scale paths that exchange their features: Eq. 2, 3, 8, 9, 12 and 14.

Scales are numbered 0..3 for the paper's 1, 1/2, 1/4, 1/8; the nodes of a path
from 1, as in the paper. Layer names say ``s1``, ``s2``, ``s4``, ``s8``.
"""

from keras import layers

from xctrs_tf.layers.blocks import d_conv, down, seq_conv, u_conv, up


def scale_name(scale):
    """``s1``, ``s2``, ``s4``, ``s8``: the divisor of the resolution."""
    return f"s{2**scale}"


def exchange(target, sources, style, name):
    """Sum a feature with the features of other scales, brought to its shape.

    Args:
        target: ``(scale, tensor)`` of the path itself; its shape is kept.
        sources: list of ``(scale, node name, tensor)`` of the other paths:
            finer ones come through D, coarser ones through U.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        The sum, without an activation after it; ``target`` itself if there is
        no source.
    """
    scale, feature = target
    filters = feature.shape[-1]
    terms = [feature]
    for source_scale, source_name, source in sources:
        steps = scale - source_scale
        if steps > 0:
            terms.append(down(source, filters, steps, style, f"{name}_d_{source_name}"))
        else:
            terms.append(up(source, filters, -steps, style, f"{name}_u_{source_name}"))
    return layers.Add(name=f"{name}_sum")(terms) if len(terms) > 1 else feature


def multi_path_encoder(x, filters, style, name):
    """Collateral paths with multi-scale fusion: Eq. 2 and 3 (2D), Eq. 12 (3D).

    Node ``(S, l + 1)`` is SeqConv of node ``(S, l)`` plus D of every finer and
    U of every coarser path's node that the paper's index pattern names; terms
    whose node index is below 1 do not exist.

    Args:
        x: input tensor ``(batch, *spatial, channels)``.
        filters: for each of the four paths, the SeqConv widths of its nodes in
            turn, e.g. ``[[(16, 16), (16, 32)], [(128, 128)]]``.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        The last node's tensor of each path, finest first.
    """
    nodes = {}
    # A node needs nodes of the column before it only, so columns can be built in turn.
    num_columns = max(scale + len(path) for scale, path in enumerate(filters))
    for column in range(1, num_columns + 1):
        for scale, path in enumerate(filters):
            index = column - scale
            if not 1 <= index <= len(path):
                continue
            node = f"{name}_{scale_name(scale)}_{index}"
            widths = path[index - 1]
            if index > 1:
                target = (scale, nodes[scale, index - 1])
                total = exchange(target, _sources(nodes, column - 1, scale, name), style, node)
            elif scale > 0:
                total = d_conv(nodes[scale - 1, 1], widths[0], style, f"{node}_dconv")
            else:
                total = x
            nodes[scale, index] = seq_conv(total, widths, style, node)
    return [nodes[scale, len(path)] for scale, path in enumerate(filters)]


def _sources(nodes, column, target_scale, name):
    """The other paths' nodes in one column: the index pattern of Eq. 3."""
    return [
        (scale, f"{scale_name(scale)}_{index}", feature)
        for (scale, index), feature in nodes.items()
        if scale + index == column and scale != target_scale
    ]


def multi_scale_fusion(features, style, name):
    """Eq. 8, missing in print: each scale takes in all others, then SeqConv.

    Args:
        features: one tensor a scale, finest first.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        Tensors of the same shapes.
    """
    fused = []
    for scale, feature in enumerate(features):
        node = f"{name}_{scale_name(scale)}"
        sources = [(s, scale_name(s), f) for s, f in enumerate(features) if s != scale]
        total = exchange((scale, feature), sources, style, node)
        fused.append(seq_conv(total, (feature.shape[-1],) * 2, style, node))
    return fused


def hierarchical_decoder(features, style, name, upsample=u_conv):
    """Merge the scales from coarse to fine: Eq. 9 and the decoder of Eq. 14.

    Args:
        features: one tensor a scale, finest first.
        style: `Style` of the blocks.
        name: prefix of the layer names.
        upsample: function ``(x, filters, style, name)`` that doubles the resolution.

    Returns:
        Tensor of the finest feature's shape.
    """
    x = features[-1]
    for scale in reversed(range(len(features) - 1)):
        node = f"{name}_{scale_name(scale)}"
        skip = features[scale]
        filters = skip.shape[-1]
        x = upsample(x, filters, style, f"{node}_uconv")
        x = layers.Concatenate(name=f"{node}_concat")([skip, x])
        x = seq_conv(x, (filters, filters), style, node)
    return x
