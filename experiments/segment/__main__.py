"""Find and label the vertebrae C1..C7 in a CT scan.

    python -m experiments.segment --ct=neck.nii.gz --output=OUT
    python -m experiments.segment --ct=DICOM --output=OUT
    python -m experiments.segment --ct=part1.nii.gz --ct=part2.nii.gz --output=OUT

The CT is a NIfTI, NRRD or MetaImage file in HU, or a folder with one DICOM series; of any
orientation, voxel size and field of view. Several --ct are the parts of one scan, which are
put together first.

OUT holds segmentation.nii.gz on the voxels of the CT's file with its label tables for
ITK-SNAP (.label) and 3D Slicer (.ctbl), an STL surface for each vertebra, preview.png and
segmentation.json (docs/segmenting.md). Vertebrae are named C1..C7 only where the top or the
bottom of the neck shows which they are; else the answer is "levels uncertain", they are named
V1, V2, ... from the top, and their labels are 101, 102, ... Only you can read OUT, unless
--share. Not for diagnosis.

Exit status: 0, everything was written (with --strict, 3 where something is to be checked:
uncertain levels, a vertebra that is missing or cut, another problem; the files are written
all the same); 2, nothing was done: bad flags, CT or model, or no cervical spine found.
"""

import pathlib
import sys

from absl import flags

from experiments.common import cli
from experiments.common.privacy import define_share
from xctrs_tf.errors import one_line
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.pretrained import DEFAULT_SEGMENTER
from xctrs_tf.progress import progress_bar, stage

EXIT_UNCERTAIN = 3

FLAGS = flags.FlagValues()
CT = flags.DEFINE_multi_string(
    "ct",
    None,
    "NIfTI, NRRD or MetaImage file in HU, or folder of one DICOM series. Given several times: the "
    "parts of one scan, which adjoin or overlap.",
    flag_values=FLAGS,
)
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to write; an earlier segmentation is replaced.", flag_values=FLAGS
)
MODEL = flags.DEFINE_string(
    "model",
    DEFAULT_SEGMENTER,
    "Network: one that comes with the package, a run folder of experiments.train, or a folder of "
    "experiments.export --format=weights.",
    flag_values=FLAGS,
)
STRICT = flags.DEFINE_boolean(
    "strict",
    False,
    "Exit with status 3 where C1..C7 are not all found, whole, with certain levels and without a "
    "problem.",
    flag_values=FLAGS,
)
SHARE = define_share(FLAGS)
flags.mark_flags_as_required(["ct", "output"], flag_values=FLAGS)


def execute():
    """Segment the CT that the flags name."""
    # SciPy and Keras are slow to import, and --help needs none of them.
    from xctrs_tf.ct_segmentation.output.segmentation_folder import (
        check_segmentation_output,
        write_segmentation_folder,
    )

    output = pathlib.Path(OUTPUT.value)
    check_segmentation_output(output)
    with folder_lock(output.resolve(), beside=True):
        segmentation = _segment()
        with stage("writing the files"):
            write_segmentation_folder(segmentation, output, private=not SHARE.value)
    print(*sorted(output.resolve().iterdir()), sep="\n")
    print(*summary_lines(segmentation.findings), sep="\n")
    return EXIT_UNCERTAIN if STRICT.value and not segmentation.findings.is_certain else 0


def _segment():
    cli.load_tensorflow()
    from xctrs_tf.ct_segmentation.segmenter import load_scan, load_segmenter

    # First, since it takes seconds, and the model is seldom the mistake.
    with stage("reading the CT"):
        scan = load_scan(CT.value)
    with stage("loading the model"):
        segmenter = load_segmenter(MODEL.value)
    return segmenter(scan, progress=progress_bar)


def summary_lines(findings):
    """Return what is said of a result: the levels, a line a vertebra, and the problems.

    Args:
        findings: `xctrs_tf.ct_segmentation.findings.Findings`.

    Returns:
        List of str.
    """
    levels = findings.levels
    lines = [levels if levels.startswith("levels") else f"levels {levels}"]
    lines += [_vertebra_line(vertebra) for vertebra in findings.vertebrae]
    if findings.missing:
        lines.append(f"not found: {', '.join(findings.missing)}")
    lines += [f"problem: {one_line(problem)}" for problem in findings.problems]
    if findings.is_certain:
        return [*lines, "C1 to C7 are whole, and no check found a problem"]
    return [*lines, "check the result: preview.png"]


def _vertebra_line(vertebra):
    x, y, z = vertebra.centroid_mm
    line = (
        f"  {vertebra.name}  at {x:.1f}, {y:.1f}, {z:.1f} mm  "
        f"{vertebra.volume_mm3 / 1000:.1f} cm3  confidence {vertebra.confidence:.2f}"
    )
    if vertebra.likely_level != vertebra.name:
        line += f"  likely {vertebra.likely_level}"
    marks = ["cut by the border of the scan"] * vertebra.cut + list(vertebra.problems)
    return line + "".join(f"; {one_line(mark)}" for mark in marks)


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
