"""The config.json of a run folder, read without Keras."""

import dataclasses
import pathlib

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import UserError
from xctrs_tf.files import as_list, read_json
from xctrs_tf.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """Record of what a run was trained with.

    Attributes:
        config: `TrainingConfig`.
        data_sha256: content hash of its data folder, the first of several.
        split_sha256: hash of the patients held out of it; None for runs of earlier versions.
        folders: list of dicts that describe the data folders, at least one.
        stages: list of dicts of the trainings that the run began with.
    """

    config: TrainingConfig
    data_sha256: str
    split_sha256: str | None
    folders: list
    stages: list

    def may_hold_out(self, split_sha256):
        """Return whether the same patients may be held out; True where one is not known."""
        return None in (split_sha256, self.split_sha256) or split_sha256 == self.split_sha256

    def is_on(self, dataset):
        """Return whether these are the data, and the folds, that the run was trained on."""
        return dataset.is_data_of(self.data_sha256, self.config.fold, self.split_sha256)


def read_config(path):
    """Read the ``training`` part of a run's config.json.

    Args:
        path: the run folder.

    Returns:
        `TrainingConfig`.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    return read_run_record(path).config


def read_run_record(path):
    """Read a run's config.json.

    Args:
        path: the run folder.

    Returns:
        `TrainingRecord`.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    path = pathlib.Path(path) / "config.json"
    try:
        record = read_json(path)
        config = TrainingConfig(**complete_training(record["training"]))
        config.check_types()
        if not isinstance(record["data_sha256"], str):
            raise ValueError("data_sha256 is no text")
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: --workdir must name a run of experiments.train"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a run's configuration ({error})") from None
    data_sha256 = record["data_sha256"]
    # Earlier runs do not tell their folders and stages.
    folders = as_list(record.get("folders")) or [{"data_sha256": data_sha256}]
    stages = as_list(record.get("stages"))
    return TrainingRecord(config, data_sha256, split_hash_in(folders), folders, stages)


def complete_training(training):
    """Add the fields of later versions to the ``training`` part of a config.json.

    Args:
        training: dict, which nobody has checked.

    Returns:
        Dict of all fields of `TrainingConfig`. One that did not exist when the run began has
        the value that it had then.
    """
    first = {"film_normalization": FIRST_FILM_NORMALIZATION}
    return {**TrainingConfig().to_json(), **first, **training}


def split_hash_in(folders, number=0):
    """Return the hash of the patients held out of a data folder.

    Args:
        folders: ``folders`` of a config.json or of an export's metadata.json, which nobody
            has checked.
        number: of the folder; the first one has the validation and test patients.

    Returns:
        The hash; None if it is not told, as by earlier versions.
    """
    told = isinstance(folders, list) and number < len(folders)
    folder = folders[number] if told else None
    found = folder.get("split_sha256") if isinstance(folder, dict) else None
    return found if isinstance(found, str) else None
