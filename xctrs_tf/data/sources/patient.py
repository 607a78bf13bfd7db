"""What every source of patients hands over."""

import dataclasses

from xctrs_tf.data.volumes import Volume


@dataclasses.dataclass(frozen=True)
class RawPatient:
    """A scan with its labels, before the crop to the frame.

    Attributes:
        id: name of the patient, unique in its source.
        ct: `Volume` in HU.
        labels: `Volume` on the same grid, uint8, 1..7 = C1..C7, 0 elsewhere.
    """

    id: str
    ct: Volume
    labels: Volume
