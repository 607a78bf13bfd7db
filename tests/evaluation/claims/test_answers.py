"""Answers to the paper's claims: which way, how large, how certain."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf.evaluation.claims.answer_grid import answer_grid, short_answer_grid
from xctrs_tf.evaluation.claims.answers import NOT_DECIDED, answer_claims, order_of_table_3
from xctrs_tf.evaluation.claims.claims import paper_claims
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.evaluation.tables.training_table import training_grid
from xctrs_tf.models.catalogue import REFERENCE_ROW, ROWS

FOLDS = 3
PATIENTS = 12


def write_rows(runs, row, values, patients=PATIENTS, **changes):
    """Write a run for each fold; `values` gives PSNR and Dice of a patient's number."""
    for fold in range(FOLDS):
        numbers = range(fold, patients, FOLDS)
        lines = [case_line(f"{n:02d}", values(n)[0], 0.5, values(n)[1]) for n in numbers]
        write_run(runs, row, lines, fold=fold, **changes)


@pytest.fixture
def results(tmp_path):
    """VGG gains 0.1 to 1.2 dB; RSC loses Dice in two folds; 3D U-Net is 0.2 behind."""
    write_rows(tmp_path, "table1-spadrnet", lambda n: (20.0, None))
    write_rows(tmp_path, "table1-vgg", lambda n: (20.1 + 0.1 * n, None))
    write_rows(tmp_path, "table1-mulsisnet", lambda n: (20.0, 0.6))
    write_rows(
        tmp_path, REFERENCE_ROW, lambda n: (20.0, 0.7 if n % FOLDS == 1 else 0.5 - 0.001 * n)
    )
    write_rows(tmp_path, "table3-unet3d", lambda n: (20.0, 0.3))
    return collect_runs(tmp_path)


def answer(results, better, figure):
    (found,) = (
        each
        for each in answer_claims(results)
        if each.claim.better == better
        and each.claim.figure == figure
        and each.claim.other != "table3-unet3d"
    )
    return found


def test_a_certain_gain_is_as_in_the_paper(results):
    found = answer(results, "table1-vgg", "psnr")
    gains = 0.1 + 0.1 * np.arange(PATIENTS)
    assert found.mean == pytest.approx(gains.mean())
    assert found.effect == pytest.approx(gains.mean() / gains.std(ddof=1))
    assert found.interval[0] < found.mean < found.interval[1]
    assert (found.folds, found.num_folds, found.test.n) == (3, 3, PATIENTS)
    assert found.claim.difference == 0.31
    # The smallest of all tests, times their number.
    tested = sum(not np.isnan(each.test.p_value) for each in answer_claims(results))
    assert found.p_holm == pytest.approx(tested * 2 / 2**PATIENTS)
    assert found.verdict == "yes"
    # The whole interval is above the paper's 0.31 dB, and that of SSIM is 0, below its 0.015.
    assert found.size == "larger"
    assert answer(results, "table1-vgg", "ssim").size == "smaller"


def test_a_gain_of_most_patients_with_a_negative_mean_decides_nothing(tmp_path):
    values = {
        "table1-spadrnet": lambda n: (20.0, None),
        "table1-vgg": lambda n: (0.0 if n == 0 else 20.1 + 0.01 * n, None),
    }
    for row, of_patient in values.items():
        write_rows(tmp_path, row, of_patient, patients=24)
    (found,) = (a for a in answer_claims(collect_runs(tmp_path)) if a.claim.figure == "psnr")
    assert found.p_holm < 0.05 and found.mean < 0 and found.test.direction == 1
    assert found.median == pytest.approx(0.215)
    assert found.verdict == NOT_DECIDED


def test_a_certain_loss_is_a_no_and_folds_are_counted(results):
    found = answer(results, "table1-mulsisnet", "psnr")
    assert found.mean < 0 and found.verdict == "no" and found.folds == 0
    assert found.size == ""
    found = answer(results, REFERENCE_ROW, "dice_mean")
    assert (found.folds, found.num_folds) == (1, 3)
    assert found.verdict == "not decided" and found.claim.difference == pytest.approx(0.0095)
    assert found.interval[0] < 0.0095 < found.interval[1] and found.size == ""
    # No difference at all.
    found = answer(results, "table1-vgg", "ssim")
    assert found.mean == 0.0 and np.isnan(found.effect) and found.verdict == "not decided"


def test_a_patient_without_a_value_is_left_out(tmp_path):
    write_rows(tmp_path, "table1-mulsisnet", lambda n: (20.0, 0.6))
    write_rows(tmp_path, REFERENCE_ROW, lambda n: (20.0, 0.7 + 0.001 * n if n else None))
    found = answer(collect_runs(tmp_path), REFERENCE_ROW, "dice_mean")
    gains = 0.1 + 0.001 * np.arange(1, PATIENTS)
    assert found.mean == pytest.approx(gains.mean())
    # The fold of that patient counts by its others.
    assert (found.test.n, found.folds) == (PATIENTS - 1, FOLDS)


def test_a_certain_loss_has_no_size(tmp_path):
    write_rows(tmp_path, "table1-mulsisnet", lambda n: (20.0, 0.6))
    write_rows(tmp_path, REFERENCE_ROW, lambda n: (20.0, 0.5 + 0.001 * n))
    found = answer(collect_runs(tmp_path), REFERENCE_ROW, "dice_mean")
    # The paper prints a difference, and the whole interval is below it.
    assert found.interval[1] < found.claim.difference
    assert (found.verdict, found.size) == ("no", "")


def test_a_question_that_the_paper_does_not_answer_says_so():
    asked = {claim.question for claim in paper_claims() if "(not in the paper)" in claim.question}
    assert asked == {
        "Does X-CTRSNet segment better than MulSISNet after the reconstruction? (not in the paper)"
    }


def test_every_row_but_the_mean_volume_is_in_a_claim():
    claims = paper_claims()
    assert {row for claim in claims for row in (claim.better, claim.other)} == set(ROWS)
    pairs = [(claim.better, claim.other, claim.figure) for claim in claims]
    assert len(set(pairs)) == len(pairs)


def test_the_grid_has_a_line_for_each_answer_in_the_units_of_the_tables(results):
    answers = answer_claims(results)
    text = markdown([answer_grid(results, answers, order_of_table_3(results))])
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(answers)
    (dice,) = (line for line in lines if "RSC" in line)
    assert (
        "| mean pseudo-label Dice (%) |" in dice
        and "| +0.95 |" in dice
        and "| 1 of 3 | 12 |" in dice
    )
    (vgg,) = (line for line in lines if "VGG" in line)
    assert vgg.split(" | ")[3:5] == ["+0.65", "+0.31"]
    assert "Order of Table 3" not in text


def test_each_question_has_one_line_in_short(results):
    answers = answer_claims(results)
    grid = short_answer_grid(results, answers)
    cells = {line[0]: line[1:] for line in grid.lines}
    assert list(cells) == list(dict.fromkeys(each.claim.question for each in answers))
    ours, printed, answered = cells["Does the multi-view VGG loss help the reconstruction?"]
    assert ours.startswith("PSNR +0.65 [") and ", SSIM +0.000 [" in ours
    assert printed == "PSNR +0.31, SSIM +0.015"
    assert answered == "PSNR: yes (larger); SSIM: not decided (smaller)"
    _, printed, answered = cells["Does MulSISNet, trained together, help the reconstruction?"]
    assert printed == "–" and answered == "PSNR: no; SSIM: not decided"
    ours, printed, _ = cells["Does RSC help?"]
    assert ours.startswith("pseudo-label Dice -3.70 [") and printed.startswith(
        "pseudo-label Dice +0.95"
    )
    *_, answered = cells["Does X-CTRSNet segment better than 3D UNet after the reconstruction?"]
    assert answered.startswith("yes (larger)")
    assert grid.notes[0].startswith("Mean difference over 12 test patients of 3 folds with")


def test_the_order_of_table_3_needs_three_methods(results, tmp_path):
    assert order_of_table_3(results) is None
    write_rows(tmp_path, "table3-dsn", lambda n: (20.0, 0.2))
    order = order_of_table_3(collect_runs(tmp_path))
    assert order.rows == [REFERENCE_ROW, "table3-unet3d", "table3-dsn"]
    assert order.paper_rows == [REFERENCE_ROW, "table3-dsn", "table3-unet3d"]
    assert order.tau == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("reference", "told"),
    [(0.3, "rank correlation +0.82, p 0."), (0.0, "rank correlation none, since all are equal.")],
)
def test_networks_that_find_nothing_have_a_place_in_the_order(tmp_path, reference, told):
    write_rows(tmp_path, REFERENCE_ROW, lambda n: (20.0, reference))
    for row in ("table3-unet3d", "table3-dsn"):
        write_rows(tmp_path, row, lambda n: (20.0, 0.0))
    results = collect_runs(tmp_path)
    order = order_of_table_3(results)
    assert len(order.rows) == 3
    (note,) = (
        note
        for note in answer_grid(results, answer_claims(results), order).notes
        if note.startswith("Order of Table 3")
    )
    assert told in note


def test_differences_that_are_not_measured_yet_are_told(results):
    answers = answer_claims(results)
    told = "So far 8 of 19 differences are measured; p-values can rise as rows are added."
    for grid in (answer_grid(results, answers, None), short_answer_grid(results, answers)):
        assert told in grid.notes
    every = [dataclasses.replace(answers[0], claim=claim) for claim in paper_claims()]
    for grid in (answer_grid(results, every, None), short_answer_grid(results, every)):
        assert not any(note.startswith("So far") for note in grid.notes)


def test_the_training_of_each_row_is_told(results, tmp_path):
    write_rows(
        tmp_path,
        "table2-sit",
        lambda n: (20.0, None),
        optimizer="sgd",
        weight_decay=1e-4,
        batch_size=4,
        steps=900,
    )
    for fold in range(FOLDS):
        history = tmp_path / "table2-sit" / f"fold-{fold:02d}-seed-0" / "history.jsonl"
        with history.open("a", encoding="utf-8") as file:
            file.write('{"step": 800, "kind": "training", "seconds": 3.0}\n')
    text = markdown([training_grid(collect_runs(tmp_path))])
    (vgg,) = (line for line in text.splitlines() if line.startswith("| SpaDRNet + VGG |"))
    assert "| Adam (0.9, 0.999) | 0.001, constant | 2 | 3 | 800 of 800 | 700 | 4,800 | – |" in vgg
    (sit,) = (line for line in text.splitlines() if line.startswith("| SIT |"))
    assert "| SGD, momentum 0.9, weight decay 0.0001 |" in sit
    assert "| 4 | 3 | 800 of 900 | 700 | 9,600 | 2.00 |" in sit
