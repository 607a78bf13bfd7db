import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest

from tests.evaluation.run_folders import case_line, write_failure, write_run
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import read_results, write_results
from xctrs_tf.evaluation.tables.comparison import COMPARED_TABLES, compare, patient_values
from xctrs_tf.evaluation.tables.grids import latex, markdown
from xctrs_tf.evaluation.tables.publication import summary_grid, table_grids
from xctrs_tf.evaluation.tables.table_csv import table_csv
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, REFERENCE_ROW, TABLE_ROWS

IDS = "abcdefg"


def grids_of(results, name):
    return table_grids(results, name, compare(results, name))


@pytest.fixture
def results(tmp_path):
    """Results of X-CTRSNet: 1 to 7 dB above SpaDRNet + VGG, 0.1 in Dice above 3D UNet."""
    ours = [case_line(name, 21.0 + i, 0.5, 0.6) for i, name in enumerate(IDS)]
    vgg = [case_line(name, 20.0, 0.5, None) for name in IDS]
    unet = [case_line(name, 20.0, 0.5, 0.5) for name in IDS[:5]]
    write_run(tmp_path, REFERENCE_ROW, ours)
    write_run(tmp_path, "table1-vgg", vgg)
    write_run(tmp_path, "table3-unet3d", unet)
    write_failure(tmp_path, "table2-psr", "no memory")
    return collect_runs(tmp_path)


def cells(text, name):
    """Return the cells of the Markdown rows that begin with a name."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_means_differences_and_tests(results):
    found = compare(results, "table1")
    ours, vgg = found[REFERENCE_ROW, "psnr"], found["table1-vgg", "psnr"]
    assert (ours.mean, ours.n) == (24.0, 7)
    assert ours.sd == pytest.approx(np.std(np.arange(7), ddof=1))
    assert ours.difference is None
    # 1 to 7 dB, all of one sign: p is 2 / 2^7, times 2 by Holm for the two methods.
    assert vgg.difference.mean == 4.0
    assert vgg.difference.test.p_value == pytest.approx(2 / 128)
    assert vgg.difference.p_holm == pytest.approx(4 / 128)
    assert 1.0 < vgg.difference.interval[0] < 4.0 < vgg.difference.interval[1] < 7.0
    assert vgg.difference.paper == pytest.approx(24.58 - 23.85)
    assert found["table1-spadrnet", "psnr"].difference is None
    assert found["table1-spadrnet", "psnr"].paper == (None, 1.90)
    assert math.isnan(found["table1-spadrnet", "psnr"].mean)
    assert found[MEAN_VOLUME_ROW, "psnr"].difference.mean == 6.0
    # No difference where the paper has an empty cell.
    assert found["table1-vgg", "ssim"].difference.paper is None


def test_only_shared_patients_are_compared(results):
    unet = compare(results, "table3")["table3-unet3d", "dice_mean"]
    assert (unet.n, unet.difference.test.n) == (5, 5)
    assert unet.difference.mean == pytest.approx(0.1)


def test_a_patient_counts_once_with_the_mean_over_seeds():
    lines = [{"id": "a", "x": "1"}, {"id": "b", "x": ""}, {"id": "a", "x": "3"}]
    values = patient_values(lines, "x")
    assert values["a"] == 2.0
    assert math.isnan(values["b"])


def test_markdown_shows_every_row_beside_the_paper(results):
    text = markdown(grids_of(results, "table1"))
    assert cells(text, "SpaDRNet, paper")[0][2:5] == ["0.712 ± ?", "? ± 1.90", "–"]
    assert cells(text, "SpaDRNet")[0][1:4] == ["not run", "–", "–"]
    assert cells(text, "SpaDRNet + VGG")[0][1:4] == ["7", "0.500 ± 0.000", "20.00 ± 0.00"]
    assert cells(text, "X-CTRSNet, paper")[0][-1] == "80.44 ± 7.27"
    assert cells(text, "X-CTRSNet")[0][1:4] == ["7", "0.500 ± 0.000", "24.00 ± 2.16"]
    assert cells(text, "mean volume")[0][1:5] == [
        "7",
        "0.400 ± 0.000",
        "18.00 ± 0.00",
        "25.00 ± 0.00",
    ]
    differences = cells(text, "SpaDRNet + VGG")[2]
    assert differences[1:3] == ["PSNR (dB)", "20.00 [20.00, 20.00]"]
    assert differences[3].startswith("+4.00 [+")
    assert differences[4:] == ["+0.73", "7", "0.0156", "0.0312"]
    for note in (
        "the cell is lost",
        "0.31 dB",
        "not comparable",
        "800 steps of 2 patients, float32, fold 0",
    ):
        assert note in text
    assert "could be called significant" not in text


def test_a_row_of_another_precision_is_named(tmp_path):
    lines = [case_line("a"), case_line("b")]
    write_run(tmp_path, REFERENCE_ROW, lines)
    write_run(tmp_path, "table1-vgg", lines)
    write_run(tmp_path, "table3-unet3d", lines, precision="mixed_bfloat16")
    text = markdown(grids_of(collect_runs(tmp_path), "table3"))
    assert "steps of 2 patients, float32 (3D UNet: mixed_bfloat16), fold 0" in text


def test_a_row_that_was_computed_in_another_precision_is_named(tmp_path):
    lines = [case_line("a"), case_line("b")]
    for row in (REFERENCE_ROW, "table1-vgg"):
        write_run(tmp_path, row, lines, precision="mixed_bfloat16")
        settings = tmp_path / row / "fold-00-seed-0" / "config.json"
        record = json.loads(settings.read_text(encoding="utf-8"))
        record["computed_in"] = ["float32" if row == "table1-vgg" else "mixed_bfloat16"]
        settings.write_text(json.dumps(record), encoding="utf-8")
    results = collect_runs(tmp_path)
    (tmp_path / "results").mkdir()
    write_results(tmp_path / "results", results, {"data_hash": results.data_hash})
    for each in (results, read_results(tmp_path / "results")):
        text = markdown(grids_of(each, "table1"))
        assert "mixed_bfloat16 computed in float32 (X-CTRSNet: mixed_bfloat16), fold 0" in text


def test_a_row_of_another_batch_size_is_named(tmp_path):
    lines = [case_line("a"), case_line("b")]
    write_run(tmp_path, REFERENCE_ROW, lines)
    write_run(tmp_path, "table1-vgg", lines)
    write_run(tmp_path, "table2-x2ctgan", lines)
    results = collect_runs(tmp_path)
    text = markdown(grids_of(results, "table2"))
    assert "800 steps of 2 patients (X2CT-GAN: 800 steps of 4 patients), float32, fold 0" in text
    # In older results all rows have the batch size that stands beside them.
    for row in results.rows.values():
        row.settings = row.settings and {**row.settings}
        if row.settings:
            del row.settings["batch_size"]
    results.settings["batch_size"] = 3
    assert "800 steps of 3 patients, float32" in markdown(grids_of(results, "table2"))


def test_failed_rows_are_shown(results):
    text = markdown(grids_of(results, "table2"))
    assert cells(text, "PSR")[0][1] == "failed"
    assert cells(text, "SIT")[0][1] == "not run"
    assert "PSR, fold 0, seed 0: failed (no memory)." in text


def test_few_patients_cannot_reach_significance(tmp_path):
    for row, psnr in ((REFERENCE_ROW, 24.0), ("table1-vgg", 23.0)):
        write_run(tmp_path, row, [case_line(n, psnr + i) for i, n in enumerate("abcdef")])
    text = markdown(grids_of(collect_runs(tmp_path), "table1"))
    assert "p cannot be below 0.0312, and after Holm for 2 methods not below 0.0625" in text


def test_a_vertebra_that_some_patients_lack_is_told(tmp_path):
    lines = [case_line(name) for name in "abc"]
    lines[0]["dice_C7"] = "nan"
    write_run(tmp_path, REFERENCE_ROW, lines)
    text = markdown(grids_of(collect_runs(tmp_path), "table1"))
    assert "C7: 2 of 3 patients (X-CTRSNet)." in text
    assert "C6: " not in text


def test_early_stopping_is_noted(tmp_path):
    folder = write_run(tmp_path, REFERENCE_ROW, [case_line("a"), case_line("b")])
    (folder / "history.jsonl").write_text('{"step": 600, "kind": "training"}\n', encoding="utf-8")
    text = markdown(grids_of(collect_runs(tmp_path), "table1"))
    assert "X-CTRSNet, fold 0, seed 0: stopped at step 600 of 800." in text


def test_cost_counts_the_networks_that_a_table_is_about(results):
    def network(parameters):
        run, whole = (
            {"parameters": count, "flops": 9, "profiler_flops": count * 10**9}
            for count in (parameters, 2 * parameters)
        )
        seconds = {"median": parameters / 1000, "min": 0.0, "max": 1.0, "repeats": 5}
        return {"at_run": run, "at_128": whole, "seconds": seconds}

    names = ("spadrnet", "sit", "psr", "x2ctgan", "mulsisnet")
    names += ("unet3d", "dsn", "densebiasnet", "cs2net", "conresnet")
    complexity = {
        "size": 32,
        "width": 0.5,
        "machine": "a computer",
        "networks": {name: network(100 + 10 * i) for i, name in enumerate(names)},
    }
    measured = dataclasses.replace(results, complexity=complexity)
    rows = {
        name: cells(markdown(grids_of(measured, name)[-1:]), "X-CTRSNet")[0][1:]
        for name in ("table1", "table2", "table3")
    }
    # SpaDRNet 100 and MulSISNet 140: both, the first, the second.
    assert rows["table1"] == ["–", "480", "240", "–", "480.00", "240.00", "–", "0.240"]
    assert rows["table2"] == [
        "22,992,322", "200", "100", "216.83", "200.00", "100.00", "0.182", "0.100",
    ]  # fmt: skip
    assert rows["table3"] == [
        "4,410,136", "280", "140", "658.38", "280.00", "140.00", "0.410", "0.140",
    ]  # fmt: skip
    assert "median of 5 calls in turns, compiled, on a computer" in markdown(
        grids_of(measured, "table2")
    )


def test_csv_has_a_line_for_each_method_and_figure(results):
    lines = {
        (line["row"], line["figure"]): line
        for line in csv.DictReader(
            io.StringIO(table_csv(results, "table1", compare(results, "table1")))
        )
    }
    vgg = lines["table1-vgg", "psnr"]
    assert (vgg["status"], vgg["mean"], vgg["n"], vgg["pairs"]) == ("evaluated", "20", "7", "7")
    assert (vgg["paper_mean"], vgg["difference"], vgg["p"]) == ("23.85", "4", "0.015625")
    assert lines["table1-spadrnet", "psnr"]["status"] == "not run"
    assert lines["table1-spadrnet", "psnr"]["paper_mean"] == ""
    assert lines[MEAN_VOLUME_ROW, "dice_mean"]["mean"] == "0.25"


def test_latex_escapes_special_characters(results):
    text = latex(grids_of(results, "table3"))
    assert r"CS$^2$-Net, paper &  & 72.94 $\pm$ 9.65" in text
    assert r"pseudo-label Dice (\%): C1" in text
    assert not set(text) & set("±²–")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4


def test_summary_has_every_method_once(results):
    grid = summary_grid(results, {name: compare(results, name) for name in COMPARED_TABLES})
    names = [line[0] for line in grid.lines]
    (not_run,) = (note for note in grid.notes if note.startswith("Not run: "))
    names_not_run = not_run.removeprefix("Not run: ").removesuffix(".").split(", ")
    assert sorted(names + names_not_run) == sorted(row.title for row in TABLE_ROWS.values())
    assert "SIT" in names_not_run
    ours = grid.lines[names.index("X-CTRSNet")]
    assert ours[1:5] == ["7", "24.00 ± 2.16", "0.500 ± 0.000", "60.00 ± 0.00"]
