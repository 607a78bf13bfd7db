"""Run folders as experiments.cross_validate leaves them, without a network."""

import csv
import dataclasses
import json

from xctrs_tf.evaluation.results.result_folder import method_name
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.models.catalogue import REFERENCE_ROW, ROWS
from xctrs_tf.training.config import TrainingConfig

DATA_SHA256 = "d" * 64
_NO_SEGMENTATION = {"dice_weight": 0.0, "rsc_weight": 0.0}
CONFIG = TrainingConfig(data="/somewhere/DATA", size=32, width=0.5, steps=800, batch_size=2)
FIELDS = {
    "table1-spadrnet": {**_NO_SEGMENTATION, "vgg_weight": 0.0},
    "table1-vgg": _NO_SEGMENTATION,
    "table1-mulsisnet": {"rsc_weight": 0.0},
    REFERENCE_ROW: {},
    "table2-sit": {
        **_NO_SEGMENTATION,
        "vgg_weight": 0.0,
        "reconstruction": "sit",
        "reconstruction_objective": "published",
    },
    "table2-x2ctgan": ROWS["table2-x2ctgan"].training(published=True),
    "table3-unet3d": {
        "vgg_weight": 0.0,
        "rsc_weight": 0.0,
        "segmentation": "unet3d",
        "reconstruction_run": "/somewhere/RUNS/table1-vgg/fold-00-seed-0",
    },
}
FIELDS["table3-cs2net"] = {**FIELDS["table3-unet3d"], "segmentation": "cs2net"}
FIELDS["table3-dsn"] = {**FIELDS["table3-unet3d"], "segmentation": "dsn"}


def case_line(patient, psnr=20.0, ssim=0.5, dice=0.5):
    """Return a line of cases.csv; `dice=None` for a run that does not segment."""
    cell = "" if dice is None else f"{dice:.6f}"
    line = {"id": patient, "psnr": f"{psnr:.6f}", "ssim": f"{ssim:.6f}", "ssim_3d": "0.600000"}
    line |= {"mae_hu": "90.000000", "mae_bone_hu": "150.000000"}
    for figure in ("dice", "hd95", "assd", "nsd"):
        line |= {f"{figure}_{name}": cell for name in (*VERTEBRAE, "mean")}
    return {**line, "missed": "" if dice is None else "0"}


# Of two patients.
LINES = [case_line("a", 22.0), case_line("b", 24.0)]


def write_run(runs, row, lines, fold=0, seed=0, mean_volume_dice=0.25, origin=None, **changes):
    """Write an evaluated run; return its folder.

    Args:
        runs: folder of all runs.
        row: key of `FIELDS`.
        lines: list of the results of `case_line`.
        fold: fold of the run.
        seed: seed of the run.
        mean_volume_dice: Dice of the mean volume for every patient.
        origin: fields of the provenance to replace.
        **changes: fields of `TrainingConfig` to replace.
    """
    folder = runs / row / f"fold-{fold:02d}-seed-{seed}"
    config = dataclasses.replace(CONFIG, fold=fold, seed=seed, **{**FIELDS[row], **changes})
    _write_config(folder, config)
    frozen = None
    if config.reconstruction_run:
        frozen = dataclasses.replace(CONFIG, fold=fold, seed=seed, **FIELDS["table1-vgg"])
        _write_config(folder / "reconstruction_run", frozen)
    (folder / "best").mkdir()
    (folder / "best" / "state.json").write_text('{"step": 700}', encoding="utf-8")
    history = [{"step": 500, "kind": "validation", "psnr": 21.0, "dice_hard": 0.4}]
    history.append({"step": 800, "kind": "validation", "psnr": 22.0, "dice_hard": 0.5})
    (folder / "history.jsonl").write_text(
        "\n".join(map(json.dumps, history)) + "\n", encoding="utf-8"
    )
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    _write_csv(evaluation / "cases.csv", lines)
    mean_volume = [case_line(line["id"], 18.0, 0.4, mean_volume_dice) for line in lines]
    _write_csv(evaluation / "baselines.csv", mean_volume)
    about = {
        "command": f"python -m experiments.evaluate --workdir={folder}",
        "commit": "c" * 40,
        "date": "2026-01-02T03:04:05+00:00",
        "machine": "a computer",
        "versions": {"python": "3.11"},
        "n": len(lines),
        "seed": seed,
        "data_hash": DATA_SHA256,
        "split": "test",
        "fold": fold,
        "step": 700,
        "method": method_name(config, frozen),
        "dice_name": "pseudo-label Dice",
    }
    (evaluation / "cases.json").write_text(
        json.dumps({**about, **(origin or {})}), encoding="utf-8"
    )
    return folder


def write_failure(runs, row, error, fold=0, seed=0):
    """Write the record of a failed job that has no run folder."""
    record = runs / row / f"fold-{fold:02d}-seed-{seed}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"status": "failed", "error": error}), encoding="utf-8")


def _write_config(folder, config):
    folder.mkdir(parents=True)
    record = {"training": config.to_json(), "data_sha256": DATA_SHA256}
    (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")


def _write_csv(path, lines):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
