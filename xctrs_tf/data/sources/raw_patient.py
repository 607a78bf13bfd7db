"""Sources of patients, and the scans with labels that they load."""

import abc
import dataclasses
import types

from xctrs_tf.data.volumes.volume import Volume


@dataclasses.dataclass(frozen=True)
class RawPatient:
    """A scan with its labels, before the crop to the frame.

    Attributes:
        id: name of the scan, unique in its source.
        ct: `Volume` in HU.
        labels: `Volume` in the same space, uint8, 1..7 = C1..C7, 0 elsewhere; None from a source
            that was opened without labels.
        notes: remarks of the source on the scan, for the manifest.
    """

    id: str
    ct: Volume
    labels: Volume | None
    notes: dict = dataclasses.field(default_factory=dict)


class PatientSource(abc.ABC):
    """Base class of all sources of patients.

    Every method raises `xctrs_tf.errors.UserError` where a file is missing or damaged.
    A source is sent to worker processes, so it holds names of files, not arrays.

    Attributes:
        ids: names of the patients, sorted. Each can name a file (`check_id`).
        unusable: dict from a name that is not in ``ids`` to the reason, such as an id
            that two folders have, or a folder that cannot be read.
    """

    ids: list
    unusable: dict = types.MappingProxyType({})

    def scans(self, patient):
        """Return the keys of a patient's scans, the preferred one first.

        Args:
            patient: a name of ``ids``.

        Returns:
            List of keys; here the patient's name, for sources of one scan a patient.
        """
        return [patient]

    @abc.abstractmethod
    def record(self, scan):
        """Return the origin of a scan for the manifest.

        Args:
            scan: a key of `scans`.

        Returns:
            Dict of ``source``, ``source_file``, ``source_sha256`` and ``licence``.
        """

    @abc.abstractmethod
    def load(self, scan):
        """Read one scan.

        Args:
            scan: a key of `scans`.

        Returns:
            `RawPatient`.
        """
