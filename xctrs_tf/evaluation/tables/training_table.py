"""Training of each row: recipe, steps, patients, hours."""

from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid, range_text
from xctrs_tf.models.catalogue import ROWS


def training_grid(results):
    """Lay out the training of every row that was evaluated.

    Args:
        results: `Results`.

    Returns:
        `TableGrid`.
    """
    headings = ["", "optimizer", "learning rate", "patients a step", "runs", "steps"]
    headings += ["best step", "patient-steps", "hours", "evaluated on"]
    lines = []
    for name, row in results.rows.items():
        runs = [run for run in row.runs if run.status == "evaluated"]
        if runs:
            # Older results have some settings only where all rows agree, or lack them.
            settings = {"optimizer": "adam", "weight_decay": 0.0} | results.settings | row.settings
            lines.append([ROWS[name].title, *_cells(settings, runs)])
    notes = [
        "Runs: one for each fold and seed. Steps: taken, of the limit; a run ends earlier where "
        "the validation loss has not fallen for as many validations as --patience says. Best "
        "step: of the weights that were evaluated, those of the lowest validation loss. "
        "Patient-steps: of all runs. Hours: of the training steps of all runs, which "
        "may have been on other machines than the evaluation."
    ]
    return TableGrid("Training", headings, lines, notes)


def _cells(settings, runs):
    taken = [run.steps_trained for run in runs]
    patients = NOTHING
    if None not in taken:
        patients = f"{sum(taken) * settings['batch_size']:,}"
    limits = [run.steps for run in runs]
    # Older results have the time of the whole job.
    seconds = [run.training_seconds or run.seconds for run in runs]
    machines = sorted({run.evaluation["machine"] for run in runs})
    return [
        _optimizer(settings),
        f"{settings['learning_rate']:g}, {settings['schedule']}",
        str(settings["batch_size"]),
        str(len(runs)),
        f"{range_text(taken)} of {range_text(limits)}",
        range_text([run.step for run in runs]),
        patients,
        NOTHING if None in seconds else f"{sum(seconds) / 3600:.2f}",
        "; ".join(machines),
    ]


def _optimizer(settings):
    if settings["optimizer"] == "sgd":
        text = f"SGD, momentum {settings['momentum']:g}"
    else:
        text = f"Adam ({settings['beta_1']:g}, {settings['beta_2']:g})"
    decay = settings["weight_decay"]
    return f"{text}, weight decay {decay:g}" if decay else text
