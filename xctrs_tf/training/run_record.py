"""The config.json of a run folder, read without Keras."""

import pathlib

from xctrs_tf.data.films.film_normalisation import FIRST_FILM_NORMALIZATION
from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json
from xctrs_tf.training.config import TrainingConfig


def read_config(path):
    """Read the ``training`` part of a run's config.json.

    Args:
        path: the run folder.

    Returns:
        `TrainingConfig`.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    return read_run_record(path)[0]


def read_run_record(path):
    """Read a run's config.json.

    Args:
        path: the run folder.

    Returns:
        `TrainingConfig`, and the hash of the data that the run was trained on.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    path = pathlib.Path(path) / "config.json"
    try:
        record = read_json(path)
        # Earlier runs do not tell it.
        first = {"film_normalization": FIRST_FILM_NORMALIZATION}
        config = TrainingConfig(**first | record["training"])
        config.check_types()
        if not isinstance(record["data_sha256"], str):
            raise ValueError("data_sha256 is no text")
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: --workdir must name a run of experiments.train"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a run's configuration ({error})") from None
    return config, record["data_sha256"]
