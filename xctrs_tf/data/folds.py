"""The paper's ten groups of patients for cross-validation."""

import numpy as np


def make_folds(ids, num_folds=10, seed=0):
    """Deal patients at random into groups whose sizes differ by one at most.

    The paper's 69 patients give nine groups of 7 and one of 6. The groups do not
    depend on the order of ``ids``.

    Args:
        ids: distinct patient ids.
        num_folds: number of groups; with fewer patients than that, every
            patient is a group of its own.
        seed: seed of the shuffle.

    Returns:
        List of lists of ids, each sorted, the larger groups first.
    """
    shuffled = np.random.default_rng(seed).permutation(sorted(ids))
    groups = np.array_split(shuffled, min(num_folds, len(shuffled)))
    return [sorted(group.tolist()) for group in groups]
