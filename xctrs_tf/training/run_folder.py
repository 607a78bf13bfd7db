"""The run folder: made for one configuration and one data set."""

import logging
import os
import pathlib
import shutil

import keras

from xctrs_tf import provenance
from xctrs_tf.data.dataset.mixture import absolute_data
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import read_json, write_json
from xctrs_tf.models.weight_sources import find_weights
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import FREEZABLE, NO_RECONSTRUCTION, TrainingConfig
from xctrs_tf.training.config.field_kinds import FREE_ON_RESUME
from xctrs_tf.training.frozen_reconstruction import copied_run
from xctrs_tf.training.history import check_continuation
from xctrs_tf.training.run import computed_precision
from xctrs_tf.training.run_record import (
    complete_training,
    read_run_record,
    split_hash_in,
)
from xctrs_tf.training.trained_data import (
    DATA,
    FOLDS,
    FURTHER,
    describe_folders,
    differing_data,
    file_sha256,
)

_FORMAT = "xctrs-run/1"
# What is said of each kind of `differing_data`.
_CHANGED = {
    DATA: "the data has changed",
    FOLDS: "the patients have been dealt to other folds",
    FURTHER: "the further data or their shares have changed",
}


def claim_workdir(workdir, config, parts):
    """Make a run folder, or check that it belongs to this run.

    A folder without checkpoints holds what a start left that failed or was stopped; it
    belongs to the next start, whatever its configuration.

    Args:
        workdir: `pathlib.Path` of the run folder.
        config: `TrainingConfig`.
        parts: list of `mixture.Part`, the opened data folders.

    Raises:
        UserError: the folder holds something else, or a run that has ended and cannot go on.
    """
    record = {
        "format": _FORMAT,
        # Programs that read it later may run in another working directory.
        "training": {**config.to_json(), "data": absolute_data(config.data)},
        "data_sha256": parts[0].dataset.content_hash(),
        "vgg_weights_sha256": file_sha256(config.vgg_weights),
        "folders": describe_folders(parts, config.fold),
        "backend": keras.backend.backend(),
        "versions": provenance.versions(),
        # One run may go on on another processor, or by later code.
        "computed_in": [computed_precision(config)],
        "commits": [provenance.commit()],
    }
    path = workdir / "config.json"
    if path.exists() and (checkpoints.has_begun(workdir) or not _is_of_a_run(path)):
        record |= _require_same(path, record)
        check_continuation(workdir, config)
    elif not path.exists() and _has_files(workdir):
        raise UserError(f"--workdir={workdir} is neither empty nor a run: name another folder")
    else:
        record["stages"] = earlier_stages(config.initial_sources)
        _refuse_held_out(record)
        _check_films(record["stages"], config)
        # Of weights that are gone.
        for left in (copied_run(workdir), workdir / "evaluation"):
            if left.exists():
                shutil.rmtree(left)
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(path, record)


def _is_of_a_run(path):
    """Return whether a config.json is that of a run, not of another program."""
    try:
        return read_json(path).get("format") == _FORMAT
    except (OSError, ValueError):
        return False


def _has_files(folder):
    return folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())


def _refuse_held_out(record):
    """Refuse first weights that were trained on patients that this run holds out."""
    held_out = {folder["data_sha256"]: folder["split_sha256"] for folder in record["folders"]}
    stage = _one_that_saw(held_out, record["training"]["fold"], record["stages"])
    if stage is not None:
        raise UserError(
            f"--initial_weights: {stage['source']} was trained on another fold of the same data, "
            "and so on patients that this run holds out; begin with weights of the same --fold"
        )


def _one_that_saw(held_out, fold, stages):
    """Return a training on patients that a run on a fold holds out, or None.

    Args:
        held_out: dict from the content hash of each data folder of the run to the hash of the
            patients that it holds out.
        fold: of the run.
        stages: list of dicts as of `earlier_stages`.
    """
    for stage in stages:
        for number, folder in enumerate(stage.get("folders", [])):
            ours = held_out.get(folder.get("data_sha256"))
            theirs = split_hash_in(stage["folders"], number)
            # Stages of earlier versions tell the fold, or nothing.
            same_fold = stage.get("fold") in (None, fold)
            if ours is not None and not (same_fold if theirs is None else theirs == ours):
                return stage
    return None


def check_reconstruction_run(config, run, dataset):
    """Check that a finished reconstruction fits a run that builds on it.

    Args:
        config: `TrainingConfig` of the run that builds on it.
        run: `xctrs_tf.training.run.Run` of the copy of the finished run.
        dataset: the data folder.

    Raises:
        UserError: it only segments, is another network than a --reconstruction that was given,
            of another size or width or for other films, or was trained on patients that are
            held out.
    """
    named = f"--reconstruction_run={config.reconstruction_run}"
    if run.reconstruction is None:
        raise UserError(f"{named}: only segments; name a run with a reconstruction network")
    # The default may stand for any network, since it need not have been given.
    if config.reconstruction not in (TrainingConfig.reconstruction, run.reconstruction.name):
        raise UserError(
            f"--reconstruction={config.reconstruction}: {config.reconstruction_run} has "
            f"{run.reconstruction.name}, which is used; leave the flag out"
        )
    # An export tells one of each, for both networks.
    for name in ("size", "width", "film_normalization"):
        ours, theirs = getattr(config, name), getattr(run.config, name)
        if ours != theirs:
            raise UserError(
                f"--{name}={ours}: give {theirs}, with which {config.reconstruction_run} was "
                "trained"
            )
    held_out = {dataset.content_hash(): dataset.split_hash(config.fold)}
    if _one_that_saw(held_out, config.fold, _trainings_of(run.path)) is not None:
        raise UserError(
            f"{named}: was trained on other folds, and so on patients that this run holds out; "
            "train it on the same data and --fold"
        )


def _trainings_of(path):
    """Return all trainings that a run went through, also those of the run that it builds on."""
    record = read_run_record(path)
    below = _trainings_of(copied_run(path)) if record.config.reconstruction_run else []
    return [*below, *record.stages, {"fold": record.config.fold, "folders": record.folders}]


def _check_films(stages, config):
    """Refuse a frozen reconstruction that was trained with otherwise normalised films."""
    for stage in stages:
        theirs = stage.get("film_normalization", config.film_normalization)
        if theirs == config.film_normalization or config.reconstruction not in stage["networks"]:
            continue
        words = (
            f"--film_normalization={config.film_normalization}: {stage['source']} of "
            f"--initial_weights was trained with {theirs}"
        )
        if config.freeze == "reconstruction":
            raise UserError(f"{words}, and is frozen; give {theirs}")
        logging.warning("%s, and has to learn the other films", words)


def earlier_stages(sources):
    """Describe the trainings from which the first weights of a run come, the earliest first.

    Args:
        sources: list of runs, exported models, names and files of --initial_weights.

    Returns:
        List of dicts: ``source``, its name; for a run and an exported model also
        ``networks`` that it trained, ``steps``, ``augment`` and ``folders``, its data. The
        trainings of a finished run that a source builds on are among them.

    Raises:
        UserError: a source is missing or damaged.
    """
    stages = []
    for source in sources:
        files = find_weights(source)
        path = _run_of_file(files[0]) or pathlib.Path(source)
        config, metadata = path / "config.json", files[0].with_name("metadata.json")
        if config.is_file():
            # Its weights are taken, too, and its own network learned from them.
            below = copied_run(path)
            found = earlier_stages([str(below)]) if below.exists() else []
            found += _stages_in(path.name, config, files[0].with_name("state.json"))
        elif metadata.is_file():
            found = _stages_in(path.name, metadata, metadata)
        else:
            found = [{"source": path.name}]
        stages += [stage for stage in found if stage not in stages]
    return stages


def _run_of_file(weights):
    """Return the run in which a file of weights lies as best or last ones, or None."""
    if weights.with_name("state.json").is_file():
        for folder in list(weights.absolute().parents)[1:3]:
            if _is_of_a_run(folder / "config.json"):
                return folder
    return None


def _stages_in(source, file, file_of_step):
    """Return the trainings that a config.json or metadata.json tells of, its own last."""
    try:
        record, step = read_json(file), read_json(file_of_step)["step"]
        return [*record.get("stages", []), _stage(source, record, step)]
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is damaged or not of this project ({one_line(error, 100)}); copy the run or "
            "model again, or move the file of weights to another folder"
        ) from error


def _stage(source, record, steps):
    if not {"fold", *FREEZABLE} <= record["training"].keys():
        raise ValueError("its networks and fold are missing")
    training = complete_training(record["training"])
    trained = {
        task: training[task]
        for task in FREEZABLE
        if training[task] != NO_RECONSTRUCTION and training["freeze"] != task
    }
    if not (training["dice_weight"] or training["rsc_weight"]):
        trained.pop("segmentation", None)
    if training["reconstruction_run"]:
        trained.pop("reconstruction", None)
    return {
        "source": source,
        "fold": training["fold"],
        "networks": list(trained.values()),
        "steps": steps,
        "augment": training["augment"],
        "film_normalization": training["film_normalization"],
        "folders": record.get("folders", []),
    }


def _normalised(initial_weights):
    """Return the sources in the value of --initial_weights with one spelling for a path."""
    sources = TrainingConfig(initial_weights=initial_weights).initial_sources
    return [os.path.abspath(source) for source in sources]


def _require_same(path, record):
    """Return the fields that a run keeps; raise UserError if it is another run."""
    try:
        before = read_json(path)
        trained = complete_training(before["training"])
        may_differ = set(FREE_ON_RESUME)
        if before.get("vgg_weights_sha256") and (
            before["vgg_weights_sha256"] == record["vgg_weights_sha256"]
        ):
            may_differ.add("vgg_weights")
        given = record["training"]
        # Its copy in the run is compared with what lies there now.
        if trained["reconstruction_run"] and given["reconstruction_run"]:
            may_differ.add("reconstruction_run")
        if _normalised(trained["initial_weights"]) == _normalised(given["initial_weights"]):
            may_differ.add("initial_weights")
        differing = [
            f"--{name} was {trained[name]} and is {value}"
            for name, value in given.items()
            if name not in may_differ and trained[name] != value
        ]
        same_file = trained["vgg_weights"] == record["training"]["vgg_weights"]
        if same_file and before.get("vgg_weights_sha256") not in (
            None,
            record["vgg_weights_sha256"],
        ):
            differing.append("the VGG16 weights have changed")
        same_fold = trained["fold"] == record["training"]["fold"]
        told = before["data_sha256"], before.get("folders", [])
        differing += [
            _CHANGED[name] for name in differing_data(*told, record["folders"], same_fold)
        ]
        before_in = before.get("computed_in", [trained["precision"]])
        computed_in = sorted({*before_in, *record["computed_in"]})
        # Runs of earlier versions do not tell theirs.
        commits = list(dict.fromkeys([*before.get("commits", [None]), *record["commits"]]))
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: name another --workdir") from None
    if differing:
        raise UserError(
            f"--workdir={path.parent} is a run of another configuration "
            f"({'; '.join(differing)}): name another folder, or give the same flags"
        )
    if trained["steps"] != record["training"]["steps"] and (
        trained["schedule"] != "constant" or trained["cross_entropy_fade"]
    ):
        logging.warning(
            "--steps was %d and is %d: learning rate and cross-entropy follow the new length from "
            "here on, so this run is another than one of %d steps from the start",
            trained["steps"],
            record["training"]["steps"],
            record["training"]["steps"],
        )
    # What a run of an earlier version does not tell is not known now either.
    folders = [
        {**folder, "split_sha256": split_hash_in(before.get("folders"), number)}
        for number, folder in enumerate(record["folders"])
    ]
    # The sources of the first weights may have been trained further, or be gone.
    return {
        "computed_in": computed_in,
        "commits": commits,
        "stages": before.get("stages", []),
        "folders": folders,
    }
