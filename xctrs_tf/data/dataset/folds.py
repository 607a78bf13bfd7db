"""Cross-validation: the groups of patients, and the validation patients of a fold."""

import numpy as np

VALIDATION_FRACTION = 0.1


def make_folds(ids, num_folds=10, seed=0):
    """Divide patients at random into groups whose sizes differ by at most one.

    The paper's 69 patients give nine groups of 7 and one of 6. The groups do not
    depend on the order of ``ids``.

    Args:
        ids: distinct patient ids.
        num_folds: number of groups; with fewer patients than that, every
            patient is a group of its own.
        seed: seed of the shuffle.

    Returns:
        List of lists of ids, each sorted, the larger groups first.

    Ge et al. (2022), Sect. 3.1.
    """
    shuffled = np.random.default_rng(seed).permutation(sorted(ids))
    groups = np.array_split(shuffled, min(num_folds, len(shuffled)))
    return [sorted(group.tolist()) for group in groups]


def draw_validation(ids, test, fold, seed=0):
    """Draw the validation patients of a fold: a tenth of its training patients, at least one.

    Args:
        ids: all patients.
        test: test patients of the fold, none of whom is drawn.
        fold: index of the group.
        seed: seed of the draw, together with the fold.

    Returns:
        Sorted list of ids; empty where no patient would be left to train on.
    """
    others = sorted(set(ids) - set(test))
    if len(others) < 2:
        return []
    count = max(1, round(VALIDATION_FRACTION * len(others)))
    return sorted(np.random.default_rng([seed, fold]).permutation(others)[:count].tolist())
