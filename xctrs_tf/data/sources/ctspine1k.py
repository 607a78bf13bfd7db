"""CTSpine1K: pairs of a CT and its labels, in one folder or in two."""

from xctrs_tf.data.sources.label_maps import CERVICAL
from xctrs_tf.data.sources.pairs import Pair, PairSource, existing_folder, visible_files
from xctrs_tf.errors import UserError

_SUFFIX, _LABELS = ".nii.gz", "_seg.nii.gz"


class CtSpine1kSource(PairSource):
    """CTSpine1K; the labels of ``<name>.nii.gz`` are ``<name>_seg.nii.gz`` in any folder.

    Args:
        folder: a folder that holds both, at any depth.

    Raises:
        UserError: no such folder, no CT in it, or two CTs of one name.
    """

    def __init__(self, folder):
        folder = existing_folder(folder)
        files = visible_files(folder, f"*{_SUFFIX}")
        labels, pairs = {}, {}
        for file in files:
            if file.name.endswith(_LABELS):
                labels.setdefault(file.name.removesuffix(_LABELS), []).append(file)
        for ct in files:
            name = ct.name.removesuffix(_SUFFIX)
            if ct.name.endswith(_LABELS):
                continue
            if name in pairs:
                raise UserError(f"{ct}: a second CT of this name; rename one of the two")
            pairs[name] = [Pair(ct, _nearest(ct, labels.get(name, [])))]
        if not pairs:
            raise UserError(f"{folder}: no CT; CTSpine1K has <name>{_SUFFIX}, <name>{_LABELS}")
        super().__init__(folder, pairs, "ctspine1k", "CC BY-NC-SA", CERVICAL)


def _nearest(ct, candidates):
    """Return the label file closest to the CT; without candidates, the path beside the CT."""
    beside = ct.with_name(ct.name.removesuffix(_SUFFIX) + _LABELS)

    def shared(file):
        return (file == beside, file.parent.name == ct.parent.name)

    return max(candidates, key=shared, default=beside)
