"""What every source of patients hands over.

A source has ``ids``, the names of its patients, sorted, and three methods:

* ``scans(patient)``: keys of the patient's scans, the preferred one first,
* ``record(scan)``: dict for the manifest: ``source``, ``source_file``,
  ``source_sha256``, ``licence``,
* ``load(scan)``: a `RawPatient`.

All three raise `xctrs_tf.errors.UserError` where a file is missing or damaged.
A source is sent to worker processes, so it holds names of files, not arrays.
"""

import dataclasses

from xctrs_tf.data.volumes.volume import Volume


@dataclasses.dataclass(frozen=True)
class RawPatient:
    """A scan with its labels, before the crop to the frame.

    Attributes:
        id: name of the scan, unique in its source.
        ct: `Volume` in HU.
        labels: `Volume` in the same space, uint8, 1..7 = C1..C7, 0 elsewhere.
        notes: what the source found out on reading; goes into the manifest.
    """

    id: str
    ct: Volume
    labels: Volume
    notes: dict = dataclasses.field(default_factory=dict)
