"""Projection geometry of X-rays: kind of rays, distances, field of view and pose."""

import dataclasses
import math

from xctrs_tf.errors import UserError

KINDS = ("parallel", "cone")
FIELDS_OF_VIEW = ("crop", "full")

# Distances from source to isocentre and to detector in mm: a neck film on a wall
# stand, and the C-arm of X2CT-GAN (Ying et al., CVPR 2019).
PRESETS_MM = {"clinical": (1500.0, 1800.0), "x2ct": (541.0, 949.0)}

# A patient is turned by at most this about each axis.
MAX_ROTATION_DEG = 15.0


@dataclasses.dataclass(frozen=True)
class VolumeFrame:
    """Position of the cube given to the networks.

    Attributes:
        size: voxels a side.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
    """

    size: int
    spacing_mm: float
    origin_mm: tuple


@dataclasses.dataclass(frozen=True)
class ProjectionGeometry:
    """Geometry of a patient's AP and LA film; the isocentre is the frame's centre.

    A pixel of the film is as large as a voxel of the frame at the isocentre: lengths
    on the film are those at the isocentre, without the magnification.

    Attributes:
        kind: ``"parallel"`` or ``"cone"``.
        field_of_view: ``"crop"`` projects the frame alone, ``"full"`` the whole
            scan onto the same film, with skull and shoulders where they overlap.
        source_to_isocentre_mm: distance for a cone, else None.
        source_to_detector_mm: distance for a cone, else None.
        rotation_deg: rotation of the patient about the axes x, y, z through the
            isocentre, in this order.
        translation_mm: translation of the patient along x, y, z, after the rotation.
    """

    kind: str = "parallel"
    field_of_view: str = "crop"
    source_to_isocentre_mm: float | None = None
    source_to_detector_mm: float | None = None
    rotation_deg: tuple = (0.0, 0.0, 0.0)
    translation_mm: tuple = (0.0, 0.0, 0.0)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise UserError(f"projection {self.kind!r}: must be one of {', '.join(KINDS)}")
        if self.field_of_view not in FIELDS_OF_VIEW:
            raise UserError(
                f"field of view {self.field_of_view!r}: must be one of {', '.join(FIELDS_OF_VIEW)}"
            )
        self._check_distances()
        for name in ("rotation_deg", "translation_mm"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise UserError(f"projection: {name} needs three finite numbers, for x, y and z")
            object.__setattr__(self, name, values)
        if max(map(abs, self.rotation_deg)) > MAX_ROTATION_DEG:
            raise UserError(
                f"projection: a rotation of {max(map(abs, self.rotation_deg)):g} degrees; "
                f"at most {MAX_ROTATION_DEG:g} about each axis"
            )

    def _check_distances(self):
        distances = (self.source_to_isocentre_mm, self.source_to_detector_mm)
        if self.kind == "parallel":
            if distances != (None, None):
                raise UserError("projection parallel: has no source; leave its distances out")
            return
        if None in distances or not 0 < distances[0] < distances[1] < math.inf:
            raise UserError(
                "projection cone: needs 0 < source_to_isocentre_mm < source_to_detector_mm, "
                f"got {distances[0]} and {distances[1]}"
            )

    @classmethod
    def preset(cls, name):
        """Return the geometry of a name, of the field of view ``crop``.

        Args:
            name: ``"parallel"``, ``"clinical"`` or ``"x2ct"`` (`PRESETS_MM`).

        Returns:
            `ProjectionGeometry`.

        Raises:
            UserError: the name is unknown.
        """
        if name == "parallel":
            return cls()
        if name not in PRESETS_MM:
            known = ", ".join(("parallel", *PRESETS_MM))
            raise UserError(f"projection {name!r}: must be one of {known}")
        return cls("cone", "crop", *PRESETS_MM[name])

    @classmethod
    def from_json(cls, record):
        """Return the geometry of a manifest's entry.

        Args:
            record: dict of `to_json`, or ``{"geometry": "parallel"}`` for the default.

        Returns:
            `ProjectionGeometry`.

        Raises:
            UserError: the record is not a geometry.
        """
        if record == {"geometry": "parallel"}:
            return cls()
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(record, dict) or record.keys() != known:
            raise UserError(f"projection: needs {', '.join(sorted(known))}; prepare the data again")
        return cls(**record)

    def to_json(self):
        """Return JSON values for the manifest."""
        record = dataclasses.asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in record.items()
        }

    def jittered(self, rotation_deg, translation_mm, rng):
        """Return this geometry with the patient moved at random.

        Args:
            rotation_deg: largest additional rotation about each axis.
            translation_mm: largest additional translation along each axis.
            rng: `numpy.random.Generator`.

        Returns:
            `ProjectionGeometry`.
        """
        turn = rng.uniform(-rotation_deg, rotation_deg, 3)
        shift = rng.uniform(-translation_mm, translation_mm, 3)
        return dataclasses.replace(
            self,
            rotation_deg=tuple(float(a + b) for a, b in zip(self.rotation_deg, turn, strict=True)),
            translation_mm=tuple(
                float(a + b) for a, b in zip(self.translation_mm, shift, strict=True)
            ),
        )

    @property
    def is_posed(self):
        """True if the patient is turned or moved."""
        return any(self.rotation_deg) or any(self.translation_mm)
