"""Multi-scale paths that exchange their features: Eq. 2, 3, 8, 9 and 12 to 14.

Scales are numbered 0..3 for the paper's 1, 1/2, 1/4, 1/8; they are ``s1``,
``s2``, ``s4`` and ``s8`` in layer names. The nodes of a path are numbered from
1, as in the paper.
"""

from keras import layers

from xctrs_tf.layers.blocks import d_conv, down, seq_conv, u_conv, up


def scale_name(scale):
    """Return the name of a scale: ``s`` and the divisor of the resolution.

    Args:
        scale: 0 for full resolution, 1 for a half, and so on.

    Returns:
        ``"s1"``, ``"s2"``, ``"s4"``, ``"s8"``.
    """
    return f"s{2**scale}"


def exchange(target, sources, style, name):
    """Add the features of other scales to a feature.

    Finer features pass through D, coarser ones through U, so that all have the
    shape of the target.

    Args:
        target: ``(scale, tensor)`` of the path itself.
        sources: list of ``(scale, node name, tensor)`` of the other paths.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        Tensor of the target's shape, without an activation; the target itself
        if there is no source.

    Ge et al. (2022), Eq. 3, 8, 12.
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
    """Build the collateral paths with multi-scale fusion.

    In 2D: Eq. 2 and 3; in 3D: Eq. 12 and 13.

    Node ``(S, l + 1)`` is SeqConv of the sum of node ``(S, l)``, D of the finer
    paths' nodes and U of the coarser paths' nodes that the equations name. Terms
    with a node index below 1 are left out.

    Args:
        x: input tensor ``(batch, *spatial, channels)``.
        filters: list of paths, finest first; a path is the list of its nodes,
            a node the tuple of its SeqConv filters, e.g.
            ``[[(16, 16), (16, 32)], [(128, 128)]]``.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        List of the last node's tensor of each path, finest first.

    Ge et al. (2022), Eq. 2, 3, 12, 13.
    """
    nodes = {}
    # A node depends on the column before it alone: build column after column.
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
                total = exchange(target, _sources(nodes, column - 1, scale), style, node)
            elif scale > 0:
                total = d_conv(nodes[scale - 1, 1], widths[0], style, f"{node}_dconv")
            else:
                total = x
            nodes[scale, index] = seq_conv(total, widths, style, node)
    return [nodes[scale, len(path)] for scale, path in enumerate(filters)]


def _sources(nodes, column, target_scale):
    """Return the nodes of the other paths in one column: the indices of Eq. 3."""
    return [
        (scale, f"{scale_name(scale)}_{index}", feature)
        for (scale, index), feature in nodes.items()
        if scale + index == column and scale != target_scale
    ]


def multi_scale_fusion(features, style, name):
    """Fuse the scales: each adds all others to itself, then SeqConv.

    The paper refers to Eq. 8 but does not print it; this is the multi-scale
    fusion that its text describes.

    Args:
        features: list of one tensor per scale, finest first.
        style: `Style` of the blocks.
        name: prefix of the layer names.

    Returns:
        List of tensors of the same shapes.

    Ge et al. (2022), Eq. 8.
    """
    fused = []
    for scale, feature in enumerate(features):
        node = f"{name}_{scale_name(scale)}"
        sources = [(s, scale_name(s), f) for s, f in enumerate(features) if s != scale]
        total = exchange((scale, feature), sources, style, node)
        fused.append(seq_conv(total, (feature.shape[-1],) * 2, style, node))
    return fused


def hierarchical_decoder(features, style, name, upsample=u_conv):
    """Merge the scales from coarse to fine.

    Each step doubles the resolution, concatenates the next finer feature and
    applies SeqConv.

    Args:
        features: list of one tensor per scale, finest first.
        style: `Style` of the blocks.
        name: prefix of the layer names.
        upsample: function ``(x, filters, style, name)`` that doubles the resolution.

    Returns:
        Tensor of the finest feature's shape.

    Ge et al. (2022), Eq. 9, 14.
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
