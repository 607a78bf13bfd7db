"""Collections of CTs by name, and several folders of them as one source."""

import pathlib

from xctrs_tf.data.patient_ids import id_key
from xctrs_tf.data.sources.ctspine1k import CtSpine1kSource
from xctrs_tf.data.sources.dicom_studies import DicomSource, Rsna2022Source
from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.nifti import NiftiSource
from xctrs_tf.data.sources.openkbp import OpenKbpSource
from xctrs_tf.data.sources.raw_patient import PatientSource
from xctrs_tf.data.sources.totalsegmentator import TotalSegmentatorSource
from xctrs_tf.data.sources.verse import VerseSource, subjects_of
from xctrs_tf.errors import UserError, log_lines

# Collections that take no options besides their folder.
_PUBLIC = {
    "ctspine1k": CtSpine1kSource,
    "rsna2022": Rsna2022Source,
    "totalsegmentator": TotalSegmentatorSource,
    "verse": VerseSource,
}
_WITH_LABELS = ("dicom", "openkbp")
# In place of a folder of labels: the source gives CTs alone, and a network labels them.
AUTO = "auto"
_AUTO_LABELS = ("dicom", "nifti", "openkbp")
COLLECTIONS = (*_PUBLIC, *_WITH_LABELS, "nifti")
# Collections whose publishers fix the patients' names: the same name in two folders is
# the same patient.
_MERGED_BY_ID = ("ctspine1k", "rsna2022", "verse")


def open_collections(names, folders, labels=None, label_map=None, select=None):
    """Open one or several folders as one source of patients.

    Args:
        names: the collection of each folder, or one name for all of them.
        folders: paths.
        labels: ``dicom`` and ``openkbp``: folder of the label files, or for a
            single DICOM series the file. `AUTO`, also for ``nifti``: no labels are read.
        label_map: ``dicom``, ``openkbp`` and ``nifti``: dict from number in the
            label files to 1..7.
        select: ``nifti``: ``(column, value)`` of its manifest.csv.

    Returns:
        `xctrs_tf.data.sources.raw_patient.PatientSource`.

    Raises:
        UserError: options that do not go together, or a folder without patients.
    """
    if len(names) == 1:
        names = names * len(folders)
    if len(names) != len(folders):
        raise UserError(f"--input: {len(folders)} for {len(names)} sources; give one each")
    _check_options(set(names), labels, label_map, select)
    label_map = label_map or CERVICAL
    folders = [pathlib.Path(folder) for folder in folders]
    verse = [folder for name, folder in zip(names, folders, strict=True) if name == "verse"]
    subjects = subjects_of(verse)
    sources = [
        (name, _open(name, folder, labels, label_map, select, subjects))
        for name, folder in zip(names, folders, strict=True)
    ]
    _warn_of_shared_patients([source for name, source in sources if name == "dicom"])
    return sources[0][1] if len(sources) == 1 else MergedSource(sources)


def _warn_of_shared_patients(sources):
    """Warn where the headers of two folders name one patient, who would be in two folds."""
    folders = {}
    for source in sources:
        for folder, name in source.header_patients().items():
            folders.setdefault(name, []).append(folder)
    shared = {name: found for name, found in folders.items() if len(found) > 1}
    if not shared:
        return
    first, second, *_ = next(iter(shared.values()))
    more = sum(map(len, shared.values())) - 2
    others = f" (and {more} more)" if more else ""
    log_lines(
        [
            f"{first} and {second}{others}: the same PatientID in their headers. If they are scans "
            "of one patient, keep one of them: else the patient may be trained on and tested. If "
            "the ids were made equal to hide names, nothing is wrong"
        ]
    )


def _check_options(names, labels, label_map, select):
    if select is not None and names != {"nifti"}:
        raise UserError("--select: only nifti folders have a manifest.csv to select from")
    if label_map is not None and names & _PUBLIC.keys():
        raise UserError(f"--label_map: {min(names & _PUBLIC.keys())} has its own; leave it out")
    if labels == AUTO:
        if other := names - set(_AUTO_LABELS):
            raise UserError(
                f"--labels={AUTO}: only for {', '.join(_AUTO_LABELS)}; {min(other)} has labels"
            )
        if label_map is not None:
            raise UserError(f"--label_map: --labels={AUTO} reads no label files; leave it out")
        return
    if labels is None and names & set(_WITH_LABELS):
        raise UserError("--labels: missing; name the folder of the label files")
    if labels is not None and not names & set(_WITH_LABELS):
        raise UserError(f"--labels: only for {' and '.join(_WITH_LABELS)}; leave it out")


def _open(name, folder, labels, label_map, select, subjects):
    if name == "verse":
        return VerseSource(folder, subjects)
    if name in _PUBLIC:
        return _PUBLIC[name](folder)
    if name == "nifti":
        return NiftiSource(folder, select, label_map, labelled=labels != AUTO)
    labels = None if labels == AUTO else pathlib.Path(labels)
    if name == "openkbp":
        return OpenKbpSource(folder, labels, label_map)
    return DicomSource(folder, labels, label_map=label_map)


class MergedSource(PatientSource):
    """The patients of several sources, each of them once.

    A name that occurs in two folders of one collection is one patient with the scans
    of both. Different collections may use the same name for different patients, so
    with more than one collection an id begins with the collection's name.

    Args:
        sources: list of ``(collection, source)``. An id that occurs twice is refused, but in
            the collections of `_MERGED_BY_ID`.

    Attributes:
        ids: names of the patients, sorted.

    Raises:
        UserError: an id that names two patients.
    """

    def __init__(self, sources):
        self._sources = [source for _, source in sources]
        prefixed = len({collection for collection, _ in sources}) > 1
        spellings, self._scans = {}, {}
        self.unusable = {}
        for number, (collection, source) in enumerate(sources):
            for place, reason in source.unusable.items():
                again = place in self.unusable
                self.unusable[f"--input {number + 1}: {place}" if again else place] = reason
            for patient in source.ids:
                name = f"{collection}-{patient}" if prefixed else patient
                # As everywhere, upper and lower case are the same.
                name = spellings.setdefault(id_key(name), name)
                if name in self._scans and collection not in _MERGED_BY_ID:
                    raise UserError(f"--input: two folders name a patient {patient!r}; rename one")
                scans = [(number, scan) for scan in source.scans(patient)]
                self._scans.setdefault(name, []).extend(scans)
        self.ids = sorted(self._scans)

    def scans(self, patient):
        """Return the keys of a patient's scans, those of the first folder first."""
        return self._scans[patient]

    def record(self, scan):
        """Return the origin of a scan for the manifest."""
        number, name = scan
        return self._sources[number].record(name)

    def load(self, scan):
        """Read one scan as a `RawPatient`."""
        number, name = scan
        return self._sources[number].load(name)
