import math

import pytest

from xctrs_tf.evaluation.patient import DICE_KEYS
from xctrs_tf.evaluation.tables.grids import markdown, text
from xctrs_tf.evaluation.tables.run_table import PAPER_ROW, run_grid, table_row


def case_row(psnr=20.0, ssim=0.5, **dice):
    dices = {key: 0.5 for key in DICE_KEYS} | dice
    return {"psnr": psnr, "ssim": ssim, **dices, "dice_mean": dice.get("dice_mean", 0.5)}


def text_table(rows, dice_name="Dice"):
    return text(run_grid(rows, dice_name))


def markdown_table(rows, dice_name="Dice"):
    return markdown([run_grid(rows, dice_name)])


def cells(table, line):
    return [cell.strip() for cell in table.splitlines()[line].strip("|").split("|")]


def test_mean_and_sample_deviation_in_the_papers_columns():
    row = table_row("ours", [case_row(20.0, 0.6, dice_C3=0.4), case_row(24.0, 0.8, dice_C3=0.7)])
    shown = markdown_table([row])
    assert cells(shown, 0) == [
        "",
        "SSIM",
        "PSNR (dB)",
        "Dice (%): C1",
        *(f"C{i}" for i in range(2, 8)),
        "Mean",
    ]
    values = cells(shown, 2)
    assert values[0] == "ours (2 patients)"
    assert values[1] == f"0.700 ± {0.2 / math.sqrt(2):.3f}"
    assert values[2] == f"22.00 ± {4 / math.sqrt(2):.2f}"
    assert values[3] == "50.00 ± 0.00"
    assert values[5] == f"55.00 ± {30 / math.sqrt(2):.2f}"


def test_one_patient_has_no_deviation():
    assert cells(markdown_table([table_row("ours", [case_row()])]), 2)[:3] == [
        "ours (1 patient)",
        "0.500",
        "20.00",
    ]


def test_absent_vertebra_is_left_out_and_noted():
    rows = [case_row(dice_C1=math.nan), case_row(dice_C1=0.8), case_row(dice_C1=0.6)]
    for table in (text_table, markdown_table):
        shown = table([table_row("ours", rows), table_row("mean volume", rows)])
        assert "70.00" in shown
        assert shown.count("C1: not in the ground truth of 1 patient, left out.") == 1


def test_run_without_segmentation_has_no_dice():
    nothing = dict.fromkeys((*DICE_KEYS, "dice_mean"), math.nan)
    shown = markdown_table([table_row("ours", [case_row(**nothing), case_row(**nothing)])])
    assert cells(shown, 2)[3:] == ["–"] * 8
    assert "left out" not in shown


def test_paper_row_is_table_1():
    shown = markdown_table([PAPER_ROW])
    assert cells(shown, 2) == [
        "paper (private cohort)",
        "0.749 ± 0.043",
        "24.58 ± 1.56",
        "74.71 ± 8.39",
        "83.25 ± 7.21",
        "81.89 ± 5.83",
        "80.15 ± 8.42",
        "78.37 ± 9.75",
        "80.91 ± 6.45",
        "83.80 ± 4.88",
        "80.44 ± 7.27",
    ]
    assert "not comparable" in shown


def test_text_columns_are_aligned():
    rows = [table_row("ours", [case_row(9.0), case_row(12.0, dice_C2=1.0)]), PAPER_ROW]
    lines = text_table(rows).splitlines()
    assert "Dice (%)" in lines[0]
    assert max(map(len, lines)) <= 100
    means, deviations = lines[3], lines[4]
    paper_means, paper_deviations = lines[5], lines[6]
    assert (means[:4], deviations[:10]) == ("ours", "2 patients")
    assert (paper_means[:5], paper_deviations[:14]) == ("paper", "private cohort")
    # Right-aligned: the columns end together in all four lines.
    ends = {means.index("10.50") + 5, paper_means.index("24.58") + 5}
    ends |= {deviations.index("± 2.12") + 6, paper_deviations.index("± 1.56") + 6}
    assert len(ends) == 1


@pytest.mark.parametrize("table", [text_table, markdown_table])
def test_pseudo_labels_are_named(table):
    shown = table([PAPER_ROW], dice_name="pseudo-label Dice")
    assert "pseudo-label Dice (%)" in shown
