"""Time of the networks by kind of operation, summed from TensorFlow's profiler."""

import collections
import pathlib
import tempfile

# Kinds of operations by what their type contains; the first that fits counts.
_KINDS = {
    "pooling": ("Pool",),
    "convolutions": ("Conv",),
    "means and sums over volumes": ("Mean", "Sum", "Prod", "Max"),
    "moving and reshaping": (
        *("Transpose", "Reshape", "Concat", "Slice", "Pad", "Tile", "Gather", "Split", "Pack"),
        *("ResizeNearest", "Broadcast", "Cast", "Copy", "Const", "Identity"),
    ),
}
_ELEMENTWISE = "element by element"
# Parts of a training step by what the name of an operation contains.
_PARTS = {
    "VGG16": ("vgg16", "block1", "block2", "block3"),
    "optimiser": ("adam", "assign"),
    "SpaDRNet": ("spadrnet",),
    "MulSISNet": ("mulsisnet",),
}
_OTHER = "losses and the rest"


def operations(run):
    """Return the time of each operation of one call.

    Args:
        run: function without arguments that runs a `tf.function` and waits for
            its result. Call it once before, so that tracing is not measured.

    Returns:
        List of ``(name, type, milliseconds)``.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    found = []
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            # "network/layer/operation:Type" is an operation, all else is bookkeeping.
            name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
            if name and not name.endswith(":") and kind.isidentifier() and " " not in name:
                found.append((name, kind, event.duration_ps / 1e9))
    return found


def by_kind(found):
    """Sum milliseconds by kind of operation, forward and backward apart, largest first."""
    total = collections.Counter()
    for name, kind, milliseconds in found:
        group = _first(_KINDS, kind, _ELEMENTWISE)
        # Operations of the gradient have their own prefix.
        direction = "backward: " if "gradient_tape" in name else ""
        total[f"{direction}{group}"] += milliseconds
    return dict(total.most_common())


def by_part(found):
    """Sum milliseconds by network, forward and backward together, largest first."""
    total = collections.Counter()
    for name, _, milliseconds in found:
        total[_first(_PARTS, name.lower(), _OTHER)] += milliseconds
    return dict(total.most_common())


def _first(groups, text, default):
    return next(
        (group for group, parts in groups.items() if any(p in text for p in parts)), default
    )
