"""VerSe'19 and VerSe'20, in the BIDS layout and in the layout of the MICCAI challenges."""

import re

from xctrs_tf.data.input_folders import existing_folder, visible_files
from xctrs_tf.data.patient_ids import normalise_id
from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import Pair, PairSource
from xctrs_tf.errors import UserError, log_lines

_BIDS_CT = "_ct.nii.gz"
_BIDS_LABELS = "_seg-vert_msk.nii.gz"
_LABELS = "_seg.nii.gz"
# The challenges numbered parts of one scan as patients of their own; the complete
# release gives them back to one patient: sub-verse417_split-verse277_ct.nii.gz.
_SUBJECT = re.compile(r"sub-([^_]+)(?:_split-([^_]+))?")


class VerseSource(PairSource):
    """VerSe; each subject is one patient, whatever the year of the scans.

    File names in the layout of the challenges do not tell the subject. Each is taken for a patient,
    with a warning, unless a folder in the BIDS layout tells whose it is.

    Parts of one scan (``split-``) in one folder are joined where their headers say that they
    adjoin or overlap.

    Args:
        folder: a folder that holds, at any depth, ``rawdata`` and ``derivatives``, or the
            pairs ``<name>.nii.gz`` and ``<name>_seg.nii.gz``.
        subjects: `subjects_of` of all folders that are prepared together; None for this one alone.

    Raises:
        UserError: no such folder, or no scan of either layout in it.
    """

    def __init__(self, folder, subjects=None):
        folder = existing_folder(folder)
        unusable = {}
        files = visible_files(folder, "*.nii.gz", unusable)
        bids = [file for file in files if file.name.startswith("sub-")]
        challenge = [file for file in files if not file.name.startswith("sub-")]
        if subjects is None:
            subjects = subjects_of([folder])
        pairs, parts, unknown = {}, {}, {}
        for ct in bids:
            match = _SUBJECT.match(ct.name)
            if ct.name.endswith(_BIDS_CT) and match:
                subject, part = match.groups()
                patient, pair = normalise_id(subject.lower()), Pair(ct, _bids_labels(ct))
                pairs.setdefault(patient, []).append(pair)
                if part:
                    parts.setdefault(patient, {}).setdefault(ct.parent, []).append(pair)
        for ct in challenge:
            if not ct.name.endswith(_LABELS):
                name = normalise_id(re.split(r"[_.]", ct.name)[0].lower())
                subject = subjects.get(name, name)
                if name not in subjects:
                    unknown.setdefault(name, ct)
                labels = ct.with_name(ct.name.replace(".nii.gz", _LABELS))
                pairs.setdefault(subject, []).append(Pair(ct, labels))
        if len(unknown) > 1:
            first, *more = unknown.values()
            log_lines(
                [
                    f"{first} and {len(more)} more: the names do not tell the subject, so each "
                    "is taken for a patient. VerSe has several scans of some patients, who may be "
                    "trained on and tested; also give a folder of the complete release (sub-*), "
                    "whose names tell the subject"
                ]
            )
        if not pairs and not unusable:
            raise UserError(f"{folder}: no VerSe scan (sub-*{_BIDS_CT}, or <name>.nii.gz)")
        groups = {
            patient: [group for group in folders.values() if len(group) > 1]
            for patient, folders in parts.items()
        }
        super().__init__(folder, pairs, "verse", "CC BY-SA 4.0", CERVICAL, unusable, groups)


def subjects_of(folders):
    """Return whose part each name is, by the names of the files in the BIDS layout.

    Args:
        folders: paths of VerSe folders, of which each may have one layout alone.

    Returns:
        Dict from the name of a part or subject to that of the subject.
    """
    subjects = {}
    for folder in folders:
        # What cannot be read is named by the source that needs it.
        for file in visible_files(existing_folder(folder), "sub-*.nii.gz", {}):
            match = _SUBJECT.match(file.name)
            if file.name.endswith(_BIDS_CT) and match:
                subject, part = match.groups()
                subjects[part or subject] = subject
    return subjects


def _bids_labels(ct):
    """Return the label file in ``derivatives``, the mirror of ``rawdata``, or beside the CT."""
    name = ct.name.removesuffix(_BIDS_CT) + _BIDS_LABELS
    parts = list(ct.parent.parts)
    for place in reversed(range(len(parts))):
        if parts[place] == "rawdata":
            parts[place] = "derivatives"
            return type(ct)(*parts) / name
    return ct.with_name(name)
