"""Several folders, of one collection or of several, as one source."""

from xctrs_tf.errors import UserError


class MergedSource:
    """The patients of several sources, each of them once.

    A patient whom two folders of one collection name alike is one patient with
    the scans of both. Collections give their names independently, so with more
    than one of them a patient's id begins with his collection's.

    Args:
        sources: list of ``(collection, source)``.
        merge: collections whose ids name a patient wherever they occur; the
            others may name nobody twice.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: an id that names two patients.
    """

    def __init__(self, sources, merge=()):
        self._sources = [source for _, source in sources]
        prefixed = len({collection for collection, _ in sources}) > 1
        self._scans = {}
        for number, (collection, source) in enumerate(sources):
            for patient in source.ids:
                name = f"{collection}-{patient}" if prefixed else patient
                if name in self._scans and collection not in merge:
                    raise UserError(f"--input: two folders name a patient {patient!r}; rename one")
                scans = [(number, scan) for scan in source.scans(patient)]
                self._scans.setdefault(name, []).extend(scans)
        self.ids = sorted(self._scans)

    def scans(self, patient):
        """The patient's scans, those of the first folder first."""
        return self._scans[patient]

    def record(self, scan):
        """What the manifest says of a scan's source."""
        number, name = scan
        return self._sources[number].record(name)

    def load(self, scan):
        """Read one scan; returns `RawPatient`."""
        number, name = scan
        return self._sources[number].load(name)
