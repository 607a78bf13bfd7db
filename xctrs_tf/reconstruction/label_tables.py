"""Label tables: names and colours of C1..C7 for ITK-SNAP and 3D Slicer."""

from xctrs_tf.files import write_text
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.style import VERTEBRA_COLORS

# To load: ITK-SNAP, Segmentation, Import Label Descriptions; 3D Slicer, Add Data.
ITK_SNAP_TABLE, SLICER_TABLE = "segmentation.label", "segmentation.ctbl"

_SNAP_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
"""


def label_color(label):
    """Return the colour of a label as RGB in [0, 1]: that of C1 for 1 and 101, and so on."""
    return VERTEBRA_COLORS[(label - 1) % 100 % len(VERTEBRA_COLORS)]


def write_label_tables(folder, names=None):
    """Write the tables of the labels, in the colours of the report.

    Args:
        folder: `pathlib.Path` of an existing folder.
        names: dict from label, such as 1 or 101, to name; by default C1..C7.
    """
    names = dict(enumerate(VERTEBRAE, start=1)) if names is None else names
    rows = [
        (label, name, *(round(255 * part) for part in label_color(label)))
        for label, name in names.items()
    ]
    snap = ['    0     0    0    0        0  0  0    "Clear Label"']
    snap += [f'{n:5d} {r:5d} {g:4d} {b:4d}        1  1  1    "{name}"' for n, name, r, g, b in rows]
    write_text(folder / ITK_SNAP_TABLE, _SNAP_HEADER + "\n".join(snap) + "\n")
    slicer = [
        f"# Color table file {SLICER_TABLE}",
        f"# {1 + len(rows)} values",
        "0 background 0 0 0 0",
    ]
    slicer += [f"{n} {name} {r} {g} {b} 255" for n, name, r, g, b in rows]
    write_text(folder / SLICER_TABLE, "\n".join(slicer) + "\n")
