"""Model repository for Triton Inference Server: a folder of versions with config.pbtxt.

A version folder holds a SavedModel, as for TensorFlow Serving, and model.py, with which Triton's
Python backend runs it.
"""

import pathlib
import shutil

from xctrs_tf.errors import UserError
from xctrs_tf.files import write_text
from xctrs_tf.geometry import VIEWS
from xctrs_tf.reconstruction.exported_model import (
    BYTES_SIGNATURE,
    METADATA_OUTPUT,
    version_numbers,
)

MODEL_NAME = "xctrsnet"
MODEL_FILE, CONFIG_FILE = "model.py", "config.pbtxt"
_TYPES = {
    "bool": "TYPE_BOOL",
    "float32": "TYPE_FP32",
    "int16": "TYPE_INT16",
    "uint8": "TYPE_UINT8",
}
_HEAD = """\
# Written by experiments.export. The tensors belong to the model; the rest may be changed.
backend: "python"
# One patient a request: films differ in the number of their bytes.
max_batch_size: 0
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


def model_folder(repository):
    """Return the folder of the model in a repository.

    Args:
        repository: the folder that Triton is given.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: the folder itself holds versions of a model.
    """
    repository = pathlib.Path(repository)
    if version_numbers(repository):
        raise UserError(
            f"{repository}: holds versions of a model, and --format=triton writes a repository of "
            f"models, with {MODEL_NAME} in it; name another folder"
        )
    return repository / MODEL_NAME


def write_model_file(folder):
    """Write model.py.

    Args:
        folder: `pathlib.Path` of the version folder.
    """
    shutil.copyfile(pathlib.Path(__file__).with_name("triton_model.py"), folder / MODEL_FILE)


def tensors_text(signatures):
    """Return the part of config.pbtxt that describes the tensors.

    Args:
        signatures: dict of `signatures.describe_signatures`.

    Returns:
        str.
    """
    # The metadata of another version have another length.
    open_ended = {METADATA_OUTPUT}
    inputs = [_tensor(f"{view}_bytes", "uint8", [-1]) for view in VIEWS]
    outputs = [
        _tensor(name, each["dtype"], [1, *([-1] if name in open_ended else each["shape"][1:])])
        for name, each in signatures[BYTES_SIGNATURE]["outputs"].items()
    ]
    return f"input [\n{_list(inputs)}\n]\noutput [\n{_list(outputs)}\n]\n"


def check_config(folder, tensors):
    """Refuse a folder whose config.pbtxt describes other tensors.

    Args:
        folder: `pathlib.Path` of the model.
        tensors: `tensors_text`.

    Raises:
        UserError: it describes other tensors.
    """
    file = folder / CONFIG_FILE
    if file.exists() and tensors not in file.read_text(encoding="utf-8", errors="replace"):
        raise UserError(
            f"{file}: describes the tensors of another model; remove it, or name another folder"
        )


def write_config(folder, tensors):
    """Write config.pbtxt, if there is none: one that was changed by hand is kept.

    Args:
        folder: `pathlib.Path` of the model.
        tensors: `tensors_text`.
    """
    if not (folder / CONFIG_FILE).exists():
        write_text(folder / CONFIG_FILE, _HEAD + tensors)


def _tensor(name, dtype, dims):
    dims = ", ".join(map(str, dims))
    return f'  {{ name: "{name}" data_type: {_TYPES[dtype]} dims: [ {dims} ] }}'


def _list(tensors):
    return ",\n".join(tensors)
