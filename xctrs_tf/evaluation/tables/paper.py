"""The paper's Tables 1 to 3 as printed, for comparison with ours.

Some cells of Table 1 are lost in the text that we transcribed; they are None.
"""

import dataclasses

from xctrs_tf.evaluation.patient import DICE_KEYS

LOST_NOTE = "?: the cell is lost in the copy of the paper that this was transcribed from."
COHORT_NOTE = (
    "paper: 69 CTs of its own, labelled by two radiologists, at 128^3; not comparable digit by "
    "digit."
)
MACHINE_NOTE = "paper's seconds: a laptop with an Nvidia RTX 3080 and an Intel i9."
# Sect. 3.2.2, beside Table 1, whose cells of the same figures are lost.
GAIN_NOTE = (
    "The paper's text says that the multi-view VGG loss gains 2.11 % in SSIM and 0.31 dB in PSNR."
)


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """One line of a table.

    Attributes:
        figures: dict from a figure of `evaluate_case` to `(mean, sd)` in its
            units; None where a number is lost. A figure that the paper does not
            give is not there.
        parameters: trainable parameters, or None if the table has none.
        flops: operations, likewise.
        seconds: inference for one patient, likewise.
    """

    figures: dict
    parameters: int | None = None
    flops: int | None = None
    seconds: float | None = None


def _images(ssim, psnr):
    return {"ssim": ssim, "psnr": psnr}


def _dice(means, deviations):
    """Percent, C1 to C7 and the mean of the seven, as fractions."""
    keys = (*DICE_KEYS, "dice_mean")
    return {
        key: (round(mean / 100, 4), round(deviation / 100, 4))
        for key, mean, deviation in zip(keys, means, deviations, strict=True)
    }


_XCTRSNET_IMAGES = _images((0.749, 0.043), (24.58, 1.56))
_XCTRSNET_DICE = _dice(
    (74.71, 83.25, 81.89, 80.15, 78.37, 80.91, 83.80, 80.44),
    (8.39, 7.21, 5.83, 8.42, 9.75, 6.45, 4.88, 7.27),
)
XCTRSNET_FIGURES = _XCTRSNET_IMAGES | _XCTRSNET_DICE
_MULSISNET_DICE = _dice(
    (72.41, 81.81, 80.72, 79.78, 77.77, 80.71, 83.22, 79.49),
    (10.59, 9.13, 6.64, 8.79, 10.43, 6.55, 4.22, 8.05),
)

# Rows have the names of `xctrs_tf.models.catalogue.ROWS`.
# X-CTRSNet's standard deviation of the mean Dice is the mean of the seven standard
# deviations; ours is that of the patients' means.
TABLE_1 = {
    "table1-spadrnet": PaperRow(_images((0.712, None), (None, 1.90))),
    "table1-vgg": PaperRow(_images((None, None), (23.85, 1.88))),
    "table1-mulsisnet": PaperRow(_images((0.736, 0.045), (None, 1.63)) | _MULSISNET_DICE),
    "table1-xctrsnet": PaperRow(XCTRSNET_FIGURES),
}

# Voxels a side of the paper's patients.
PAPER_SIZE = 128
# Trainable parameters and operations at that size, in Tables 2 and 3, of each
# network alone.
COUNTS = {
    "spadrnet": (22_992_322, 216_830_517_469),
    "sit": (8_354_112, 36_970_987_528),
    "psr": (519_432_132, 43_572_466_660),
    "x2ctgan": (23_564_691, 227_531_788_978),
    "mulsisnet": (4_410_136, 658_383_183_305),
    "unet3d": (1_755_416, 601_140_127_338),
    "dsn": (7_028_344, 513_911_708_845),
    "densebiasnet": (1_568_820, 756_871_554_273),
    "cs2net": (5_831_628, 594_944_273_005),
    "conresnet": (19_175_488, 1_583_526_133_185),
}

TABLE_2 = {
    "table2-sit": PaperRow(_images((0.631, 0.058), (22.00, 1.82)), *COUNTS["sit"], 0.040),
    "table2-psr": PaperRow(_images((0.653, 0.049), (21.90, 1.77)), *COUNTS["psr"], 0.177),
    "table2-x2ctgan": PaperRow(_images((0.691, 0.051), (23.04, 1.70)), *COUNTS["x2ctgan"], 0.210),
    "table1-xctrsnet": PaperRow(_XCTRSNET_IMAGES, *COUNTS["spadrnet"], 0.182),
}

TABLE_3 = {
    "table3-unet3d": PaperRow(
        _dice(
            (68.65, 72.50, 73.29, 72.83, 68.08, 71.88, 76.67, 71.98),
            (12.51, 10.30, 10.18, 12.14, 14.48, 11.85, 8.98, 11.49),
        ),
        *COUNTS["unet3d"],
        0.350,
    ),
    "table3-dsn": PaperRow(
        _dice(
            (71.82, 82.33, 77.44, 72.97, 73.98, 80.24, 82.61, 77.34),
            (11.16, 9.26, 8.67, 11.45, 13.24, 7.32, 6.03, 9.59),
        ),
        *COUNTS["dsn"],
        0.269,
    ),
    "table3-densebiasnet": PaperRow(
        _dice(
            (72.75, 81.24, 81.35, 79.44, 76.59, 79.54, 81.25, 78.88),
            (10.14, 9.88, 6.15, 9.38, 10.45, 7.83, 6.97, 8.69),
        ),
        *COUNTS["densebiasnet"],
        0.446,
    ),
    "table3-cs2net": PaperRow(
        _dice(
            (72.94, 80.94, 77.97, 77.61, 78.72, 79.96, 82.56, 78.67),
            (9.65, 9.23, 14.59, 13.99, 10.21, 6.80, 5.60, 10.01),
        ),
        *COUNTS["cs2net"],
        0.329,
    ),
    "table3-conresnet": PaperRow(
        _dice(
            (71.62, 81.20, 79.84, 79.71, 78.11, 79.93, 83.02, 79.06),
            (10.98, 9.24, 8.79, 9.86, 10.70, 7.59, 5.38, 8.93),
        ),
        *COUNTS["conresnet"],
        0.780,
    ),
    "table1-xctrsnet": PaperRow(_XCTRSNET_DICE, *COUNTS["mulsisnet"], 0.410),
}


def printed_difference(table, better, other, figure):
    """Return the mean that a printed table gives one row, less that of another.

    Args:
        table: value of `PRINTED_TABLES`.
        better: name of a row.
        other: name of the row that it is compared with.
        figure: key of a figure of `evaluate_case`.

    Returns:
        float; None if one of the two is not printed or lost.
    """
    rows = [table[row].figures if row in table else {} for row in (better, other)]
    means = [(figures.get(figure) or (None,))[0] for figures in rows]
    return None if None in means else means[0] - means[1]


PRINTED_TABLES = {"table1": TABLE_1, "table2": TABLE_2, "table3": TABLE_3}
