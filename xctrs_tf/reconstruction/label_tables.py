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


def write_label_tables(folder):
    """Write the tables of the labels 0..7, in the colours of the report.

    Args:
        folder: `pathlib.Path` of an existing folder.
    """
    rows = [
        (label, name, *(round(255 * part) for part in color))
        for label, (name, color) in enumerate(zip(VERTEBRAE, VERTEBRA_COLORS, strict=True), start=1)
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
