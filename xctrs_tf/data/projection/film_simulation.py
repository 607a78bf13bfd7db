"""Film simulation of a cohort: geometry, poses of the patients, film effects."""

import dataclasses

import numpy as np

from xctrs_tf.data.projection.film_effects import film_effects
from xctrs_tf.data.projection.projection_geometry import MAX_ROTATION_DEG, ProjectionGeometry
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS

# Pose and noise draw from separate generators, so that noise changes no pose.
_RANDOM_STREAMS = {"pose": 0, "ap": 1, "la": 2}


def _option(default, low, high, text):
    """Return a field that is also a flag, with its limits and its help text."""
    return dataclasses.field(default=default, metadata={"limits": (low, high), "help": text})


@dataclasses.dataclass(frozen=True)
class FilmSimulation:
    """Options of a cohort's films; a patient's films depend on the id and seed alone.

    Every number is an option of `experiments.prepare` of the same name. Lengths are
    in mm at the isocentre, so that they mean the same at every size.

    Attributes:
        geometry: `ProjectionGeometry` of a patient in the pose of the CT.
        seed: seed of poses and noise.
        pose_rotation_deg: largest random rotation of a patient about each axis.
        pose_translation_mm: largest random translation of a patient along each axis.
        photons: photons of a pixel without a patient (`film_effects.quantum_noise`).
        scatter_fraction: share of scattered photons (`film_effects.scatter_veil`).
        scatter_width_mm: standard deviation of their spread.
        blur_mm: standard deviation of the blur (`film_effects.detector_blur`).
        gamma: slope of the `film_effects.contrast_curve`.
    """

    geometry: ProjectionGeometry = dataclasses.field(default_factory=ProjectionGeometry)
    seed: int = 0
    pose_rotation_deg: float = _option(
        0.0,
        0.0,
        MAX_ROTATION_DEG,
        "Turn each patient at random, up to so many degrees about each axis (0 to "
        f"{MAX_ROTATION_DEG:g}).",
    )
    pose_translation_mm: float = _option(
        0.0, 0.0, 50.0, "Shift each patient at random, up to so many mm along each axis (0 to 50)."
    )
    photons: float | None = _option(
        None,
        1.0,
        1e9,
        "Quantum noise: photons that reach a pixel beside the patient (1 to 1e9), such as 10000; "
        "the fewer, the more noise; no noise by default.",
    )
    scatter_fraction: float = _option(
        0.0,
        0.0,
        0.95,
        "Share of scattered photons among all (0 to 0.95); needs --scatter_width_mm.",
    )
    scatter_width_mm: float = _option(
        0.0, 0.0, 500.0, "Standard deviation of the spread of scattered photons, in mm (up to 500)."
    )
    blur_mm: float = _option(0.0, 0.0, 20.0, "Standard deviation of the detector's blur, in mm.")
    gamma: float | None = _option(
        None,
        0.1,
        20.0,
        "Contrast curve of films and viewers: its slope in the middle (0.1 to 20), the larger the "
        "more contrast; no curve by default.",
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
        """Return the simulation of a manifest's entry.

        Args:
            record: dict of `to_json`. It has no seed, which is a key of its own in the
                manifest.

        Returns:
            `FilmSimulation` of seed 0.

        Raises:
            UserError: the record has no geometry, or a number is out of its limits.
        """
        names = {field.name for field in _options()} & set(record)
        rest = {name: value for name, value in record.items() if name not in names}
        return cls(
            ProjectionGeometry.from_json(rest), **{name: record[name] for name in sorted(names)}
        )

    def to_json(self):
        """Return JSON values for the manifest: the geometry and the options not at default."""
        chosen = {
            field.name: getattr(self, field.name)
            for field in _options()
            if getattr(self, field.name) != field.default
        }
        if self.geometry == ProjectionGeometry() and not chosen:
            return {"geometry": "parallel"}
        return self.geometry.to_json() | chosen

    def differences(self, other):
        """List where another simulation differs.

        Args:
            other: `FilmSimulation`.

        Returns:
            List of texts such as ``"kind cone instead of parallel"``, the other's value last.
        """
        ours, theirs = self._values(), other._values()
        return [
            f"{name} {_text(ours[name])} instead of {_text(theirs[name])}"
            for name in ours
            if ours[name] != theirs[name]
        ]

    def check_mirrored(self, name):
        """Refuse mirroring where the films of the mirrored patient are not the mirrored films.

        Args:
            name: of the mirroring, for the message.

        Raises:
            UserError: rays of a cone, or turned patients.
        """
        if self.geometry.kind != "parallel":
            raise UserError(
                f"{name}: with a cone beam the LA film of the mirrored patient is another film, so "
                "mirroring is not possible; leave it out"
            )
        if self.pose_rotation_deg:
            raise UserError(
                f"{name}: the LA film of a turned patient changes when the patient is mirrored, so "
                "mirroring is not possible; leave it out"
            )

    @property
    def has_poses(self):
        """True if each patient has a geometry of their own."""
        return self.pose_rotation_deg > 0 or self.pose_translation_mm > 0

    def geometry_of(self, patient):
        """Return the `ProjectionGeometry` of the patient with this id."""
        if not self.has_poses:
            return self.geometry
        rng = np.random.default_rng(self._entropy(patient, "pose"))
        return self.geometry.jittered(self.pose_rotation_deg, self.pose_translation_mm, rng)

    def films(self, patient, scan, frame):
        """Simulate both films of a patient.

        Args:
            patient: id of the patient.
            scan: `Volume` in HU, as `drr.films_of` takes it.
            frame: `projection_geometry.VolumeFrame`.

        Returns:
            Dict of ``ap`` and ``la``, float32 ``(size, size)``.
        """
        # Keras takes seconds to load, and rejected patients and most workers do not need it.
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
        # Without effects, film_effects would turn the 0 of rays through air into -0.
        if not any(effects.values()):
            return np.asarray(line_integrals)
        return film_effects(line_integrals, self._entropy(patient, view), **effects)

    def _values(self):
        options = {field.name: getattr(self, field.name) for field in _options()}
        return dataclasses.asdict(self.geometry) | options

    def _entropy(self, patient, stream):
        return [self.seed, _RANDOM_STREAMS[stream], *patient.encode()]


def _text(value):
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _options():
    return [field for field in dataclasses.fields(FilmSimulation) if field.metadata]
