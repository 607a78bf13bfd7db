"""Training runs in their own processes, for tests that kill them or form a cluster.

The processes are forked from one that has imported TensorFlow, which saves the time
of the import, and has computed nothing.
"""

import multiprocessing
import os
import signal

from tests.training.toys import toy_networks

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.training.toys", "xctrs_tf.training.loop"])

FINISHED, STOPPED, ABORTED, KILLED = 0, 130, 131, -signal.SIGKILL


def start(function, *arguments):
    """Start a process that calls a module-level function; it ends with the test process."""
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def status(process, seconds=240):
    """Wait for the end of a process; return its exit status."""
    process.join(seconds)
    return process.exitcode


def train(config, run, before=None):
    """Train toy networks; ``before(loop)`` may change the module `loop` first."""
    from xctrs_tf.training import loop

    loop.build_networks = toy_networks
    if before is not None:
        before(loop)
    try:
        loop.train(config, run)
    except loop.Interrupted as interruption:
        print(interruption)
        raise SystemExit(STOPPED) from None
    except KeyboardInterrupt:
        raise SystemExit(ABORTED) from None


def kill_at(loop, moment, step):
    """Make this process kill itself at a step.

    Args:
        loop: the module `loop`.
        moment: "after" the step, or while "validating" or "saving" a checkpoint.
        step: number of the step.
    """
    owner, name, is_now = {
        "after": (loop._Loop, "_require_finite", lambda _, number, scalars: number == step),
        "validating": (
            loop._Loop,
            "_record",
            lambda _, number, kind, scalars: (number, kind) == (step, "validation"),
        ),
        "saving": (loop.checkpoints, "sha256_of", lambda path: f"step-{step:08d}" in str(path)),
    }[moment]
    original = getattr(owner, name)

    def killing(*arguments):
        if is_now(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(owner, name, killing)
