"""Jobs that are done, compared with what is given now: data and VGG16 weights."""

import functools

from xctrs_tf.cross_validation.jobs import finished_record
from xctrs_tf.errors import UserError
from xctrs_tf.training.run_record import read_run_record
from xctrs_tf.training.trained_data import (
    DATA,
    FOLDS,
    FURTHER,
    describe_data,
    differing_data,
    file_sha256,
)

_RANDOM = "random"
_DIFFERING = {
    DATA: "with other data",
    FOLDS: "with the patients dealt to other folds",
    FURTHER: "with other further data or other shares of them",
}


def require_same_inputs(jobs, data, vgg_weights):
    """Refuse a job that was done with other data or other VGG16 weights than are given now.

    It counts as done, so its results would pass for those of what is given now. A job that is
    not done is checked by its training.

    Args:
        jobs: list of `jobs.Job`.
        data: value of ``data``, for all jobs.
        vgg_weights: value of ``vgg_weights``, for all jobs.

    Raises:
        UserError: there is one, or its run folder is damaged.
    """
    folders_of = functools.cache(functools.partial(describe_data, data))

    @functools.cache
    def given_sha256():
        return file_sha256(vgg_weights)

    for job in jobs:
        if finished_record(job) is None:
            continue
        record = read_run_record(job.folder)
        found = differing_data(record.data_sha256, record.folders, folders_of(job.fold))
        if found:
            words = " and ".join(_DIFFERING[name] for name in found)
            raise _done_otherwise(f"--data={data}", job, words, "those data")
        if not record.config.uses_vgg:
            continue
        ours, theirs = vgg_weights, record.config.vgg_weights
        if (ours == _RANDOM) != (theirs == _RANDOM):
            words = f"with --vgg_weights={theirs}"
            raise _done_otherwise(f"--vgg_weights={ours}", job, words, "the same weights")
        # Keras's own file, named imagenet, has no hash.
        if record.vgg_weights_sha256 and given_sha256() not in (None, record.vgg_weights_sha256):
            words = "with another file of VGG16 weights"
            raise _done_otherwise(f"--vgg_weights={ours}", job, words, "that file")


def _done_otherwise(flag, job, words, remedy):
    """Return the error for a job that was done otherwise than a flag asks for now."""
    return UserError(
        f"{flag}: {job} in --workdir was done {words}; give {remedy}, or name another --workdir"
    )
