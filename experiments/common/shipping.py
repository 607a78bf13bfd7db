"""Recipes and packing of the networks that come with the package.

A recipe is several trainings, each of which begins with the weights of earlier ones.
"""

import dataclasses
import pathlib
import shutil

from absl import flags

from experiments.common.commands import run_command
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path
from xctrs_tf.pretrained import EXPORTED_WEIGHTS

GROUPS = {"Licences": None}
# Data that the notices of the package's models name.
_NAMED_SOURCES = ("openkbp", "phantom")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run of a recipe.

    Attributes:
        name: of its folder.
        flags: flags of experiments.train, without those of folders.
        samples: names of the folders of samples, such as ``data`` and ``phantoms``, with their
            shares.
        begins_with: names of the stages whose weights it begins with.
    """

    name: str
    flags: tuple
    samples: tuple = (("data", 1.0),)
    begins_with: tuple = ()


def stage_flags(stage, folders, workdir):
    """Return all flags of experiments.train for a stage.

    Args:
        stage: `Stage`.
        folders: dict of the folders of samples by name; one that is None takes no part.
        workdir: folder of the runs.
    """
    root = pathlib.Path(workdir)
    parts = [(folders[name], share) for name, share in stage.samples if folders[name]]
    data = ",".join(f"{folder}:{share:g}" for folder, share in parts)
    if len(parts) == 1:
        data = parts[0][0]
    found = [f"--data={data}", *stage.flags]
    if stage.begins_with:
        sources = ",".join(str(root / name) for name in stage.begins_with)
        found.append(f"--initial_weights={sources}")
    return [*found, f"--workdir={root / stage.name}"]


def run_stages(stages, names, folders, workdir, further=()):
    """Run the stages of a recipe that are named, in the order of the recipe.

    Args:
        stages: tuple of `Stage`.
        names: names of those to run.
        folders: as of `stage_flags`.
        workdir: as of `stage_flags`.
        further: flags for every stage.

    Raises:
        UserError: an unknown name.
    """
    known = [stage.name for stage in stages]
    if set(names) - set(known):
        raise UserError(f"--stages={','.join(names)}: of {', '.join(known)}")
    for stage in stages:
        if stage.name in names:
            run_command("train", *stage_flags(stage, folders, workdir), *further)


def define_licence_flags(flag_values):
    """Define ``--license`` and ``--notice`` of a packing program.

    Args:
        flag_values: `absl.flags.FlagValues` of the program.

    Returns:
        Both flags.
    """
    licence = flags.DEFINE_string(
        "license", "LICENSE", "File of the licence of the weights.", flag_values=flag_values
    )
    notice = flags.DEFINE_string(
        "notice",
        None,
        "File that names the data and their licences; needed where they are not OpenKBP or "
        "phantoms alone.",
        flag_values=flag_values,
    )
    return licence, notice


def checked_licence(path):
    """Return the path of a licence's file, which must be there.

    Args:
        path: value of ``--license``.

    Raises:
        UserError: no such file.
    """
    licence = pathlib.Path(path)
    if not licence.is_file():
        raise UserError(f"--license={licence}: no such file")
    return licence


def checked_notice(path, packaged, metadata):
    """Return the file that names the data of packed weights and the licences of these data.

    Args:
        path: value of ``--notice``, or None.
        packaged: folder of a model of the package, whose notice serves without ``--notice``
            where the weights were trained on no other data than it names.
        metadata: dict of the export's metadata.

    Raises:
        UserError: no such file, or there must be one.
    """
    if path:
        if not pathlib.Path(path).is_file():
            raise UserError(f"--notice={path}: no such file")
        return pathlib.Path(path)
    folders = [
        *metadata["folders"],
        *(each for part in metadata["stages"] for each in part["folders"]),
    ]
    sources = {source["source"] for folder in folders for source in folder["sources"]}
    others = sorted(name for name in sources if name.lower() not in _NAMED_SOURCES)
    if others:
        raise UserError(
            f"--notice: trained on data of {', '.join(others)}; give a file that names the data "
            "and their licences, and the licence of the weights as --license"
        )
    return packaged / "NOTICE"


def ship(folder, licence, notice, max_bytes, output):
    """Copy an exported model to a folder of the package, with its licence and notice.

    Args:
        folder: of `saved_model.export_run` with ``file_format="weights"``; it gets the licence,
            the notice and checksums of all files.
        licence: file of the licence.
        notice: file of the notice.
        max_bytes: of the weights.
        output: folder to write; an earlier one is replaced.

    Returns:
        Bytes of the weights.

    Raises:
        UserError: the weights are larger.
    """
    # Only packing needs it, not --help.
    from xctrs_tf.reconstruction.export_files import write_checksums

    size = (folder / EXPORTED_WEIGHTS).stat().st_size
    if size > max_bytes:
        raise UserError(
            f"{output}: would hold {size / 1e6:.1f} MB of weights; at most "
            f"{max_bytes / 1e6:g} MB are shipped"
        )
    shutil.copy(licence, folder / "LICENSE")
    shutil.copy(notice, folder / "NOTICE")
    write_checksums(folder)
    with atomic_path(output) as temporary:
        shutil.copytree(folder, temporary)
    return size
