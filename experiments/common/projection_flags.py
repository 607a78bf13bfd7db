"""Flags of the X-ray simulation, which `experiments.prepare` takes."""

import dataclasses

from absl import flags

from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import (
    FIELDS_OF_VIEW,
    KINDS,
    PRESETS_MM,
    ProjectionGeometry,
)
from xctrs_tf.errors import UserError

PROJECTION = flags.DEFINE_enum("projection", "parallel", KINDS, "Rays of the X-rays.")
FIELD_OF_VIEW = flags.DEFINE_enum(
    "field_of_view",
    "crop",
    FIELDS_OF_VIEW,
    "What the X-rays show: the crop alone, or the whole scan on the crop's film.",
)
PROJECTION_PRESET = flags.DEFINE_enum(
    "projection_preset",
    None,
    list(PRESETS_MM),
    "cone: the distances of a neck film on a wall stand (clinical, the default), or of X2CT-GAN.",
)
SOURCE_TO_ISOCENTRE_MM = flags.DEFINE_float(
    "source_to_isocentre_mm", None, "cone: by default the preset's."
)
SOURCE_TO_DETECTOR_MM = flags.DEFINE_float(
    "source_to_detector_mm", None, "cone: by default the preset's."
)
OPTIONS = [
    flags.DEFINE_float(field.name, field.default, field.metadata["help"])
    for field in dataclasses.fields(FilmSimulation)
    if field.metadata
]


def simulation_from_flags(seed):
    """The `FilmSimulation` that the flags ask for.

    Args:
        seed: of poses and noise.

    Raises:
        UserError: flags that contradict each other, or are out of their limits.
    """
    options = {flag.name: flag.value for flag in OPTIONS}
    return FilmSimulation(_geometry(), seed, **options)


def _geometry():
    distances = (SOURCE_TO_ISOCENTRE_MM, SOURCE_TO_DETECTOR_MM)
    if PROJECTION.value == "parallel":
        for flag in (PROJECTION_PRESET, *distances):
            if flag.value is not None:
                raise UserError(
                    f"--{flag.name}: parallel rays have no source; add --projection=cone"
                )
        return ProjectionGeometry(field_of_view=FIELD_OF_VIEW.value)
    preset = PRESETS_MM[PROJECTION_PRESET.value or "clinical"]
    return ProjectionGeometry(
        "cone",
        FIELD_OF_VIEW.value,
        *(
            default if flag.value is None else flag.value
            for flag, default in zip(distances, preset, strict=True)
        ),
    )
