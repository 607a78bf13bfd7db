"""Models that are evaluated: a run of experiments.train, an exported model, or several of them."""

import dataclasses
import pathlib
from collections.abc import Callable

from experiments.common import cli
from xctrs_tf.data.dataset import network_arrays, open_dataset
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, training_of
from xctrs_tf.evaluation.evaluated_run import open_run_dataset, read_trainings, run_name
from xctrs_tf.files import as_dict, as_list
from xctrs_tf.progress import stage
from xctrs_tf.reconstruction import load
from xctrs_tf.reconstruction.ensemble import find_exports
from xctrs_tf.training.run_record import read_config

# Name in tables of a model that does not tell its method.
_UNNAMED = "model"


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model that can predict.

    Attributes:
        name: of the method in tables.
        predict: function from a `Case` to the CT in [0, 1] ``[x, y, z]`` and the labels, each
            None if the model gives none.
        origin: dict of ``seed``, ``step``, ``weights_sha256`` (of a run), ``computed_in``,
            ``models``, ``model_sha256`` (of exported models) and ``mirror`` for the records.
    """

    name: str
    predict: Callable
    origin: dict


@dataclasses.dataclass(frozen=True)
class EvaluatedModel:
    """A model that is not loaded yet, so that mistakes in the data are found first.

    Attributes:
        trainings: list of `Training`, one for each network or model.
        open_data: function from the path of ``--data``, or None, to the `Dataset`; it raises
            UserError where the data does not suit the model.
        load: function to the `LoadedModel`.
        workdir: `pathlib.Path` of the run; None for exported models.
        mirror: whether the mirrored patient is predicted, too.
    """

    trainings: list
    open_data: Callable
    load: Callable
    workdir: pathlib.Path | None
    mirror: bool


def model_of_run(workdir, checkpoint="best", mirror=False):
    """Describe a run of experiments.train.

    Args:
        workdir: the run folder.
        checkpoint: ``"best"`` or ``"last"``.
        mirror: as of `EvaluatedModel`.

    Returns:
        `EvaluatedModel`.

    Raises:
        UserError: there is no run in the folder.
    """
    workdir = pathlib.Path(workdir)
    config = read_config(workdir)

    def load_networks():
        cli.load_tensorflow()
        from xctrs_tf.training.run import load_run

        return loaded_run(load_run(workdir, checkpoint), mirror)

    def open_data(data):
        return open_run_dataset(workdir, config, data)

    return EvaluatedModel(read_trainings(workdir), open_data, load_networks, workdir, mirror)


def loaded_run(run, mirror=False):
    """Return the `LoadedModel` of a run.

    Args:
        run: `xctrs_tf.training.run.Run`.
        mirror: as of `EvaluatedModel`.
    """
    from xctrs_tf.training.prediction import predict_case

    def predict(case):
        arrays = network_arrays(case, run.config.film_normalization)
        return predict_case(run, case.id, arrays, mirror)

    origin = {
        "seed": run.config.seed,
        "step": run.step,
        "weights_sha256": run.weights_sha256,
        "computed_in": run.computed_in,
        "models": 1,
        "model_sha256": None,
        "mirror": mirror,
    }
    return LoadedModel(run_name(run), predict, origin)


def model_of_exports(paths, sha256=(), mirror=False):
    """Describe exported models, SavedModels or ONNX files; several answer together.

    Args:
        paths: as of `xctrs_tf.reconstruction.load`, which loads them.
        sha256: as of `load`.
        mirror: as of `EvaluatedModel`.

    Returns:
        `EvaluatedModel`.

    Raises:
        UserError: a folder holds no model, or the models do not agree.
    """
    exports = find_exports(paths)

    def open_data(data):
        if not data:
            raise UserError("--data: missing; name the prepared data to evaluate --model on")
        dataset, size = open_dataset(data), exports[0].size
        if dataset.size != size:
            raise UserError(
                f"{dataset.path} has {dataset.size} voxels a side, the model {exports[0].path} has "
                f"{size}; prepare with --size={size}"
            )
        return dataset

    def load_models():
        if not all(export.is_onnx for export in exports):
            cli.load_tensorflow()
        with stage("loading the model"):
            reconstructor = load(*exports, sha256=sha256, mirror=mirror)

        def predict(case):
            result = reconstructor(case.ap, case.la, case.spacing_mm)
            return normalise_hu(result.ct_hu), result.segmentation

        return LoadedModel(_name(exports), predict, _origin(exports, mirror))

    trainings = [training_of_export(export.metadata) for export in exports]
    return EvaluatedModel(trainings, open_data, load_models, None, mirror)


def training_of_export(metadata):
    """Read what an exported model says of its training, which nobody has checked.

    Args:
        metadata: dict of its metadata.json.

    Returns:
        `Training`; its fields are None where the metadata do not tell.
    """
    fold, data_sha256 = _fields(metadata).get("fold"), metadata.get("data_sha256")
    if not (type(fold) is int and fold >= 0 and isinstance(data_sha256, str)):
        return Training(None, None, takes_films=True)
    spacing_mm = metadata.get("spacing_mm")
    known = isinstance(spacing_mm, int | float) and spacing_mm > 0
    training = training_of(
        fold,
        as_list(metadata.get("folders")) or [{"data_sha256": data_sha256}],
        as_list(metadata.get("stages")),
        spacing_mm=spacing_mm if known else None,
    )
    return dataclasses.replace(training, takes_films=True, films=_films(metadata))


def _films(metadata):
    """Return the `FilmSimulation` of the training data; None where it is not told."""
    try:
        return FilmSimulation.from_json(as_dict(metadata.get("data"))["projection"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _fields(metadata):
    training = metadata.get("training")
    return training if isinstance(training, dict) else {}


def _name(exports):
    names = [export.metadata.get("method") for export in exports]
    name = names[0] if isinstance(names[0], str) and len(set(names)) == 1 else _UNNAMED
    return name if len(exports) == 1 else f"{len(exports)} times {name}"


def _origin(exports, mirror):
    alone = len(exports) == 1
    return {
        "seed": _fields(exports[0].metadata).get("seed") if alone else None,
        "step": exports[0].metadata.get("step") if alone else None,
        "weights_sha256": None,
        "computed_in": sorted({e.metadata.get("precision", "float32") for e in exports}),
        "models": len(exports),
        "model_sha256": [export.sha256 for export in exports],
        "mirror": mirror,
    }
