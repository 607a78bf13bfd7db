"""How the films of a cohort are made: geometry, each patient's own pose, film effects."""

import dataclasses

import numpy as np

from xctrs_tf.data.projection.film_effects import film_effects
from xctrs_tf.data.projection.projection_geometry import MAX_ROTATION_DEG, ProjectionGeometry
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS

# A generator of its own for each, so that noise does not move a patient.
STREAMS = {"pose": 0, "ap": 1, "la": 2}


def _option(default, low, high, text):
    """A number that is a flag too, with its limits."""
    return dataclasses.field(default=default, metadata={"limits": (low, high), "help": text})


@dataclasses.dataclass(frozen=True)
class FilmSimulation:
    """What makes a cohort's films; a patient's follow from his id and the seed alone.

    Every number is an option of `experiments.prepare` by the same name. Lengths are
    in mm at the isocentre, so that they mean the same at every size.

    Attributes:
        geometry: `ProjectionGeometry` of a patient who stands as his CT lies.
        seed: of poses and noise.
        pose_rotation_deg: a patient's largest rotation about each axis.
        pose_translation_mm: his largest translation along each axis.
        photons: `film_effects.quantum_noise`.
        scatter_fraction: `film_effects.scatter_veil`.
        scatter_width_mm: `film_effects.scatter_veil`.
        blur_mm: `film_effects.detector_blur`.
        gamma: `film_effects.contrast_curve`.
    """

    geometry: ProjectionGeometry = dataclasses.field(default_factory=ProjectionGeometry)
    seed: int = 0
    pose_rotation_deg: float = _option(
        0.0, 0.0, MAX_ROTATION_DEG, "Turn each patient by chance, up to so much about each axis."
    )
    pose_translation_mm: float = _option(
        0.0, 0.0, 50.0, "Shift each patient by chance, up to so much along each axis."
    )
    photons: float | None = _option(
        None, 1.0, 1e9, "Quantum noise: photons that reach a pixel past the patient."
    )
    scatter_fraction: float = _option(
        0.0, 0.0, 0.95, "Scattered among all photons; needs --scatter_width_mm."
    )
    scatter_width_mm: float = _option(
        0.0, 0.0, 500.0, "Standard deviation of the scattered photons' spread."
    )
    blur_mm: float = _option(0.0, 0.0, 20.0, "Standard deviation of the detector's blur.")
    gamma: float | None = _option(
        None, 0.1, 20.0, "Contrast curve: its steepness in the middle; none by default."
    )

    def __post_init__(self):
        for field in _options():
            value = getattr(self, field.name)
            low, high = field.metadata["limits"]
            if value is not None and not low <= value <= high:
                raise UserError(f"--{field.name}={value:g}: must be from {low:g} to {high:g}")
        if (self.scatter_fraction > 0) != (self.scatter_width_mm > 0):
            raise UserError("--scatter_fraction and --scatter_width_mm: give both or none")

    @classmethod
    def from_json(cls, record):
        """Inverse of `to_json`, but for the seed, which the manifest has beside it.

        Raises:
            UserError: no geometry, or a number out of its limits.
        """
        names = {field.name for field in _options()} & set(record)
        rest = {name: value for name, value in record.items() if name not in names}
        return cls(
            ProjectionGeometry.from_json(rest), **{name: record[name] for name in sorted(names)}
        )

    def to_json(self):
        """JSON values for the manifest: the geometry, and the options that were chosen."""
        chosen = {
            field.name: getattr(self, field.name)
            for field in _options()
            if getattr(self, field.name) != field.default
        }
        if self.geometry == ProjectionGeometry() and not chosen:
            return {"geometry": "parallel"}
        return self.geometry.to_json() | chosen

    @property
    def has_poses(self):
        """Whether each patient has a geometry of his own."""
        return self.pose_rotation_deg > 0 or self.pose_translation_mm > 0

    def geometry_of(self, patient):
        """`ProjectionGeometry` of a patient."""
        if not self.has_poses:
            return self.geometry
        rng = np.random.default_rng(self._entropy(patient, "pose"))
        return self.geometry.jittered(self.pose_rotation_deg, self.pose_translation_mm, rng)

    def films(self, patient, scan, frame):
        """Both films of a patient.

        Args:
            patient: his id.
            scan: `Volume` in HU, as `drr.films_of` takes it.
            frame: `projection_geometry.VolumeFrame`.

        Returns:
            Dict of ``ap`` and ``la``, float32 ``(size, size)``.
        """
        # Keras takes seconds to load; bad patients and worker processes need none.
        from xctrs_tf.data.projection.drr import films_of

        films = films_of(scan, frame, self.geometry_of(patient))
        return {view: self._exposed(patient, view, films[view], frame) for view in VIEWS}

    def _exposed(self, patient, view, line_integrals, frame):
        effects = {
            "photons": self.photons,
            "scatter_fraction": self.scatter_fraction,
            "scatter_width_pixels": self.scatter_width_mm / frame.spacing_mm,
            "blur_pixels": self.blur_mm / frame.spacing_mm,
            "gamma": self.gamma,
        }
        # Through photons and back, the 0 of rays through air would become -0.
        if not any(effects.values()):
            return np.asarray(line_integrals)
        return film_effects(line_integrals, self._entropy(patient, view), **effects)

    def _entropy(self, patient, stream):
        return [self.seed, STREAMS[stream], *patient.encode()]


def _options():
    return [field for field in dataclasses.fields(FilmSimulation) if field.metadata]
