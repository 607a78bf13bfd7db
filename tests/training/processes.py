"""Training runs in processes of their own, to be killed or to form a cluster.

They are forked from a process that has imported TensorFlow and computed nothing,
since importing it takes longer than a toy run.
"""

import multiprocessing
import os
import signal

from tests.training.toys import toy_networks

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.training.toys", "xctrs_tf.training.loop"])

FINISHED, STOPPED, ABORTED, KILLED = 0, 130, 131, -signal.SIGKILL


def start(function, *arguments):
    """Start a process that calls a function of a module; it ends with the test at the latest."""
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def status(process, seconds=240):
    """Wait for a process's end; its exit status."""
    process.join(seconds)
    return process.exitcode


def train(config, run, before=None):
    """Train toy networks, after ``before(loop)`` has changed the module `loop`."""
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
    """Make this process kill itself at a step: after it, amid its validation or its checkpoint."""
    owner, name, is_now = {
        "after": (loop._Loop, "_require_finite", lambda _, number, scalars: number == step),
        "validating": (
            loop._Loop,
            "_record",
            lambda _, number, kind, scalars: (number, kind) == (step, "validation"),
        ),
        "saving": (loop.checkpoints, "_sha256", lambda path: f"step-{step:08d}" in str(path)),
    }[moment]
    original = getattr(owner, name)

    def killing(*arguments):
        if is_now(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(owner, name, killing)
