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
        phantoms_share: share of the samples that are phantoms; the others are real necks.
        begins_with: names of the stages whose weights it begins with.
    """

    name: str
    flags: tuple
    phantoms_share: float = 0.0
    begins_with: tuple = ()


def stage_flags(stage, data, phantoms, workdir):
    """Return all flags of experiments.train for a stage.

    Args:
        stage: `Stage`.
        data: folder of the real necks.
        phantoms: folder of the phantoms, or None: none take part in a mixture.
        workdir: folder of the runs.
    """
    root, share = pathlib.Path(workdir), stage.phantoms_share
    if share == 1:
        data = phantoms
    elif share and phantoms:
        data = f"{data}:{1 - share:g},{phantoms}:{share:g}"
    found = [f"--data={data}", *stage.flags]
    if stage.begins_with:
        sources = ",".join(str(root / name) for name in stage.begins_with)
        found.append(f"--initial_weights={sources}")
    return [*found, f"--workdir={root / stage.name}"]


def run_stages(stages, names, data, phantoms, workdir, further=()):
    """Run the stages of a recipe that are named, in the order of the recipe.

    Args:
        stages: tuple of `Stage`.
        names: names of those to run.
        data: as of `stage_flags`.
        phantoms: as of `stage_flags`.
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
            run_command("train", *stage_flags(stage, data, phantoms, workdir), *further)
