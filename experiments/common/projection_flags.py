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

GROUPS = {"X-ray simulation": None}


class ProjectionFlags:
    """The flags of the X-ray simulation, defined on a program's flag values.

    Args:
        flag_values: `flags.FlagValues` of the program.
    """

    def __init__(self, flag_values):
        where = {"flag_values": flag_values}
        self._projection = flags.DEFINE_enum(
            "projection",
            "parallel",
            KINDS,
            "Rays of the simulated X-rays: parallel, or a cone from a source at the distances of "
            "--projection_preset.",
            **where,
        )
        self._field_of_view = flags.DEFINE_enum(
            "field_of_view",
            "crop",
            FIELDS_OF_VIEW,
            "What the X-rays show: the crop alone, or the whole scan on the crop's film.",
            **where,
        )
        self._preset = flags.DEFINE_enum(
            "projection_preset",
            None,
            list(PRESETS_MM),
            "--projection=cone: distances of the source to isocentre and to detector, of a neck "
            f"film on a wall stand (clinical, the default: {_distances('clinical')}), or of "
            f"X2CT-GAN ({_distances('x2ct')}).",
            **where,
        )
        self._distances = [
            flags.DEFINE_float(
                name,
                None,
                f"--projection=cone: mm from the X-ray source to {end}; by default that of "
                "--projection_preset.",
                **where,
            )
            for name, end in (
                ("source_to_isocentre_mm", "the isocentre, the middle of the crop"),
                ("source_to_detector_mm", "the detector, more than to the isocentre"),
            )
        ]
        self._options = [
            flags.DEFINE_float(field.name, field.default, field.metadata["help"], **where)
            for field in dataclasses.fields(FilmSimulation)
            if field.metadata
        ]

    def simulation(self, seed):
        """Return the `FilmSimulation` that the flags ask for.

        Args:
            seed: of poses and noise.

        Raises:
            UserError: flags that contradict each other, or are out of their limits.
        """
        options = {flag.name: flag.value for flag in self._options}
        return FilmSimulation(self._geometry(), seed, **options)

    def _geometry(self):
        field_of_view = self._field_of_view.value
        if self._projection.value == "parallel":
            for flag in (self._preset, *self._distances):
                if flag.value is not None:
                    raise UserError(
                        f"--{flag.name}: parallel rays have no source; add --projection=cone"
                    )
            return ProjectionGeometry(field_of_view=field_of_view)
        preset = PRESETS_MM[self._preset.value or "clinical"]
        distances = [
            default if flag.value is None else flag.value
            for flag, default in zip(self._distances, preset, strict=True)
        ]
        return ProjectionGeometry("cone", field_of_view, *distances)


def _distances(preset):
    return " and ".join(f"{distance_mm:g} mm" for distance_mm in PRESETS_MM[preset])
