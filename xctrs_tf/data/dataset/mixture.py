"""Several prepared folders in one training run, each with its share of the samples."""

import dataclasses
import functools
import logging
import pathlib
import re

import numpy as np

from xctrs_tf.data.dataset.dataset import Dataset, open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import is_same_spacing

_WITH_SHARE = re.compile(r"(?P<path>.+):(?P<share>\d*\.?\d+)")
# Samples after which the folders have exactly their shares, as far as whole samples allow.
_BLOCK = 100
# Smallest share of a folder: one sample of a block, up to the rounding of a sum.
_LEAST_SHARE = (1 - 1e-9) / _BLOCK
# Number of the random generator of the order within a block. The augmentation "films" has the same
# number; another one would change the order that resumed runs see.
_ORDER = 6


@dataclasses.dataclass(frozen=True)
class DataFolder:
    """A folder of --data.

    Attributes:
        path: as given.
        share: of the samples, above 0; None where none is given.
    """

    path: str
    share: float | None


def parse_data(text):
    """Read the value of --data.

    Args:
        text: one folder, or several with their shares: ``A:0.5,B:0.5``. Without shares
            every folder has that of its training patients.

    Returns:
        List of `DataFolder`.

    Raises:
        UserError: shares for some folders only, a share of 0 or below one hundredth, or a folder
            twice.
    """
    if not text or pathlib.Path(text).is_dir():
        return [DataFolder(text, None)]
    found = []
    for part in text.split(","):
        match = _WITH_SHARE.fullmatch(part)
        if match and not pathlib.Path(part).is_dir():
            found.append(DataFolder(match["path"], float(match["share"])))
        else:
            found.append(DataFolder(part, None))
    shares = [folder.share for folder in found]
    if any(share is None for share in shares) and any(share is not None for share in shares):
        raise UserError(f"--data={text}: give every folder a share, as A:0.5,B:0.5, or none")
    if any(share == 0 for share in shares):
        raise UserError(f"--data={text}: a share is 0; leave the folder out")
    if None not in shares and min(shares) < _LEAST_SHARE * sum(shares):
        raise UserError(
            f"--data={text}: a share is below {1 / _BLOCK:g} of all; give it more, or leave the "
            "folder out"
        )
    paths = [folder.path for folder in found]
    if not all(paths) or len(set(paths)) < len(paths):
        raise UserError(f"--data={text}: a folder is named twice or not at all")
    return found


def absolute_data(text):
    """Return the value of --data with absolute paths.

    Args:
        text: as for `parse_data`.
    """
    folders = parse_data(text)
    # Without an exponent, which `parse_data` does not read.
    shares = [
        "" if folder.share is None else f":{np.format_float_positional(folder.share, trim='-')}"
        for folder in folders
    ]
    paths = [str(pathlib.Path(folder.path).absolute()) for folder in folders]
    return ",".join(path + share for path, share in zip(paths, shares, strict=True))


@dataclasses.dataclass(frozen=True)
class Part:
    """Training patients of one folder.

    Attributes:
        dataset: `Dataset`.
        ids: its training patients.
        share: of the samples; the shares of a run sum to 1.
    """

    dataset: Dataset
    ids: list
    share: float


def one_part(dataset, ids):
    """Return the list of `Part` of a single folder.

    Args:
        dataset: `Dataset`.
        ids: its training patients.
    """
    return [Part(dataset, ids, 1.0)]


def open_parts(text, fold):
    """Open all folders of --data.

    Args:
        text: as for `parse_data`.
        fold: cross-validation fold, whose training patients of every folder are taken.

    Returns:
        List of `Part`. Validation and test patients are those of the first one.

    Raises:
        UserError: a folder is missing or damaged, or was prepared at another size or for
            other films than the first, or has training patients that the first holds out.
    """
    folders = parse_data(text)
    datasets = [open_dataset(folder.path) for folder in folders]
    first = datasets[0]
    for dataset in datasets[1:]:
        for name in ("size", "projection"):
            ours, theirs = dataset.manifest.get(name), first.manifest.get(name)
            if ours != theirs:
                raise UserError(
                    f"--data: {dataset.path} has the {name} {ours}, and {first.path} has {theirs}; "
                    "prepare them alike"
                )
        if not is_same_spacing(dataset.spacing_mm, first.spacing_mm):
            logging.warning(
                "--data: the voxels of %s are of %g mm, and those of %s of %g mm: necks have "
                "different sizes to the networks",
                dataset.path,
                dataset.spacing_mm,
                first.path,
                first.spacing_mm,
            )
    ids = [dataset.split(fold).training for dataset in datasets]
    for dataset, patients in zip(datasets[1:], ids[1:], strict=True):
        _refuse_held_out(first, fold, dataset, patients)
    shares = [
        len(patients) if folder.share is None else folder.share
        for folder, patients in zip(folders, ids, strict=True)
    ]
    for folder, share in zip(folders, shares, strict=True):
        if share < _LEAST_SHARE * sum(shares):
            logging.warning(
                "--data: %s has less than one in %d training patients, and gets one in %d samples",
                folder.path,
                _BLOCK,
                _BLOCK,
            )
    return [
        Part(dataset, patients, share / sum(shares))
        for dataset, patients, share in zip(datasets, ids, shares, strict=True)
    ]


def _refuse_held_out(first, fold, dataset, patients):
    """Refuse training patients who are held-out patients of the first folder."""
    split = first.split(fold)
    held_out = set().union(*map(first.identity, (*split.validation, *split.test)))
    found = [patient for patient in patients if held_out & dataset.identity(patient)]
    if found:
        raise UserError(
            f"--data: {len(found)} training patients of {dataset.path}, such as {found[0]}, are "
            f"held out in {first.path}: their scans, or phantoms, are the same; leave them out of "
            "one of the two, or prepare phantoms with another --seed"
        )


def part_and_position(shares, seed, index):
    """Return the part of a sample, and how many samples of that part came before it.

    Args:
        shares: tuple of numbers that sum to 1.
        seed: of the run.
        index: number of the sample.
    """
    if len(shares) == 1:
        return 0, int(index)
    block, place = divmod(int(index), _BLOCK)
    parts = _parts_of_block(shares, seed, block)
    part = int(parts[place])
    before = int(np.count_nonzero(parts[:place] == part))
    return part, _quotas(shares)[part] * block + before


@functools.lru_cache(maxsize=16)
def _parts_of_block(shares, seed, block):
    parts = np.repeat(np.arange(len(shares)), _quotas(shares))
    return np.random.default_rng([seed, block, _ORDER]).permutation(parts)


@functools.lru_cache(maxsize=16)
def _quotas(shares):
    """Return the samples of each part in a block, at least 1, by the largest remainders."""
    exact = np.asarray(shares) * _BLOCK
    counts = np.maximum(1, np.floor(exact)).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    for part in order[: max(0, _BLOCK - counts.sum())]:
        counts[part] += 1
    # Parts below one hundredth were rounded up.
    counts[np.argmax(counts)] -= counts.sum() - _BLOCK
    return tuple(counts.tolist())
