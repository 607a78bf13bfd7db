"""CTSpine1K: pairs of a CT and its labels, in one folder or in two."""

from xctrs_tf.data.input_folders import by_id, existing_folder, visible_files
from xctrs_tf.data.patient_ids import normalise_id
from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import Pair, PairSource
from xctrs_tf.errors import UserError

_SUFFIX, _LABELS = ".nii.gz", "_seg.nii.gz"


class CtSpine1kSource(PairSource):
    """CTSpine1K; the labels of ``<name>.nii.gz`` are ``<name>_seg.nii.gz`` in any folder.

    Args:
        folder: a folder that holds both, at any depth.

    Raises:
        UserError: no such folder, or no CT in it.
    """

    def __init__(self, folder):
        folder = existing_folder(folder)
        labels, cts, unusable = {}, [], {}
        for file in visible_files(folder, f"*{_SUFFIX}", unusable):
            if file.name.endswith(_LABELS):
                name = normalise_id(file.name.removesuffix(_LABELS))
                labels.setdefault(name, []).append(file)
            else:
                cts.append((file.name.removesuffix(_SUFFIX), file))
        pairs = {}
        for name, ct in by_id(cts, unusable).items():
            try:
                pairs[name] = [Pair(ct, _nearest(ct, labels.get(name, [])))]
            except UserError as error:
                unusable[name] = str(error)
        if not pairs and not unusable:
            raise UserError(f"{folder}: no CT; CTSpine1K has <name>{_SUFFIX}, <name>{_LABELS}")
        super().__init__(folder, pairs, "ctspine1k", "CC BY-NC-SA", CERVICAL, unusable)


def _nearest(ct, candidates):
    """Return the label file closest to the CT; without candidates, the path beside the CT.

    Raises:
        UserError: two files are equally close.
    """
    beside = ct.with_name(ct.name.removesuffix(_SUFFIX) + _LABELS)
    if beside in candidates or not candidates:
        return beside
    in_same = [file for file in candidates if file.parent.name == ct.parent.name]
    nearest, *others = in_same or candidates
    if others:
        raise UserError(f"{others[0]}: the labels are also in {nearest}; keep one")
    return nearest
