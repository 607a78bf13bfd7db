"""The config.json of a run folder, read without Keras."""

import dataclasses
import pathlib

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import UserError
from xctrs_tf.files import as_dict, as_list, read_json
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.config.field_kinds import FREE_IN_TABLE, effective_fields

# In the words of a training; a name alone has it not.
_OF_TRAINING = "augment="


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Record of what a run was trained with.

    Attributes:
        config: `TrainingConfig`.
        data_sha256: content hash of its data folder, the first of several.
        split_sha256: hash of the patients held out of it; None for runs of earlier versions.
        folders: list of dicts that describe the data folders, at least one.
        stages: list of dicts of the trainings that the run began with.
        vgg_weights_sha256: hash of the file of VGG16's weights; None where --vgg_weights named
            no file.
    """

    config: TrainingConfig
    data_sha256: str
    split_sha256: str | None
    folders: list
    stages: list
    vgg_weights_sha256: str | None = None

    def compared_fields(self):
        """Return what the runs of one method share, whatever their fold and seed.

        Returns:
            Dict of the fields of the configuration that make the method, with what their paths
            name: ``initial_weights``, the trainings that the run began with in words;
            ``further_data``, shares and hashes of the data folders after the first; and,
            where the run has the VGG loss, ``random_vgg_weights`` and, if it is known,
            ``vgg_weights_sha256``.
        """
        fields = effective_fields(self.config)
        fields = {name: value for name, value in fields.items() if name not in FREE_IN_TABLE}
        # Runs of earlier versions do not tell their stages.
        names = [{"source": source} for source in self.config.initial_sources]
        stages = self.stages or names
        fields["initial_weights"] = ",".join(self._in_words(as_dict(stage)) for stage in stages)
        fields["further_data"] = mixed_in(self.folders)
        if self.config.uses_vgg:
            fields["random_vgg_weights"] = self.config.vgg_weights == "random"
            if self.vgg_weights_sha256:
                fields["vgg_weights_sha256"] = self.vgg_weights_sha256
        return fields

    def _in_words(self, stage):
        """Describe a training that the run began with, alike for all folds of a method.

        A file of weights has a name alone, without its folder on this machine.
        """
        if "networks" not in stage:
            return pathlib.PurePath(str(stage.get("source"))).name
        data = [str(as_dict(each).get("data_sha256")) for each in as_list(stage.get("folders"))]
        words = [
            "+".join(map(str, as_list(stage["networks"]))),
            f"{_OF_TRAINING}{stage.get('augment')}",
            f"film_normalization={stage.get('film_normalization', FIRST_FILM_NORMALIZATION)}",
            f"data={'+'.join(sha256[:12] for sha256 in data)}",
        ]
        own = {self.data_sha256, *(as_dict(each).get("data_sha256") for each in self.folders)}
        # On the data of the run, every fold needs a training of its own, with a best step of its
        # own. That on other data may be the same for all.
        if data and own.isdisjoint(data):
            words.append(f"steps={stage.get('steps')}")
        return " ".join(words)

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
        `RunRecord`.

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
        vgg_weights_sha256 = record.get("vgg_weights_sha256")
        if not isinstance(vgg_weights_sha256, str | None):
            raise ValueError("vgg_weights_sha256 is no text")
        # Earlier runs do not tell their folders and stages.
        folders = as_list(record.get("folders")) or [{"data_sha256": record["data_sha256"]}]
        mixed_in(folders)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: --workdir must name a run of experiments.train"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a run's configuration ({error})") from None
    return RunRecord(
        config=config,
        data_sha256=record["data_sha256"],
        split_sha256=split_hash_in(folders),
        folders=folders,
        stages=as_list(record.get("stages")),
        vgg_weights_sha256=vgg_weights_sha256,
    )


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


def tells_trainings(initial_weights):
    """Return whether `RunRecord.compared_fields` tells trainings in ``initial_weights``.

    Args:
        initial_weights: its value; names alone where the weights were files, and in results of
            earlier versions.
    """
    return f" {_OF_TRAINING}" in str(initial_weights)


def mixed_in(folders):
    """Return shares and hashes of the data folders after the first.

    Args:
        folders: ``folders`` of a config.json.

    Returns:
        List of lists ``[share, data_sha256]``.

    Raises:
        KeyError: a folder has none.
        TypeError: a folder is no dict.
    """
    return [[folder["share"], folder["data_sha256"]] for folder in folders[1:]]


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
