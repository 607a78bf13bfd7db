"""Recipes of several trainings, each of which begins with the weights of earlier ones."""

import dataclasses
import pathlib

from experiments.common.commands import run_command
from xctrs_tf.errors import UserError


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
