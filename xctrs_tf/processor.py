"""Features of the processor, and oneDNN's 16-bit mode for float32 graphs of TensorFlow."""

import functools
import logging
import os
import pathlib
import sys

# Linux describes every core here; its features, on x86, in a line that begins with "flags".
CPU_INFO = pathlib.Path("/proc/cpuinfo")
# How float32 graphs are computed: as they are, or with inputs of products rounded to bfloat16.
FPMATHS = ("float32", "bfloat16")
# oneDNN's mode, which TensorFlow reads once in a process.
FPMATH_VARIABLE = "TF_SET_ONEDNN_FPMATH_MODE"
_VALUE = "BF16"
# oneDNN's limit of the instructions that it uses, and the features that are beyond each value.
_LIMIT_VARIABLE = "ONEDNN_MAX_CPU_ISA"
_BEYOND = {
    **dict.fromkeys(
        ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"),
        frozenset({"avx512_bf16", "amx_bf16"}),
    ),
    **dict.fromkeys(("AVX512_CORE_BF16", "AVX512_CORE_FP16"), frozenset({"amx_bf16"})),
}


def features():
    """Return the set of features of the processor; None where the system does not tell them.

    Those that ONEDNN_MAX_CPU_ISA keeps oneDNN from using are left out.
    """
    found = cpu_info("flags")
    if found is None:
        return None
    return set(found.split()) - _BEYOND.get(os.environ.get(_LIMIT_VARIABLE), set())


def cpu_info(name):
    """Return what Linux tells under a name of the first core; None where it does not.

    Args:
        name: as ``"flags"`` or ``"model name"``.
    """
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        found, _, value = line.partition(":")
        if found.strip() == name:
            return value.strip()
    return None


def has_amx():
    """Tell whether the processor multiplies bfloat16 matrices (AMX); None if unknown."""
    found = features()
    return None if found is None else {"amx_tile", "amx_bf16"} <= found


def has_bfloat16():
    """Tell whether the processor has instructions for bfloat16; None if unknown."""
    found = features()
    return None if found is None else bool({"amx_bf16", "avx512_bf16"} & found)


def bfloat16_is_slow(backend="tensorflow"):
    """Tell whether float32 is faster than bfloat16: on a processor known to lack instructions.

    Args:
        backend: ``"tensorflow"`` or ``"jax"``, which has to be imported already. Where it
            has an accelerator, the answer is False.
    """
    if has_bfloat16() is not False:
        return False
    if backend == "jax":
        return sys.modules[backend].default_backend() == "cpu"
    return not sys.modules[backend].config.list_physical_devices("GPU")


def set_fpmath(fpmath):
    """Choose how oneDNN computes float32 graphs in this process and those that it starts.

    It is to be called before TensorFlow is imported. Where the choice changes nothing, or
    comes too late, a warning says so, once.

    Args:
        fpmath: of `FPMATHS`.
    """
    wanted = _VALUE if fpmath == "bfloat16" else None
    is_set = os.environ.get(FPMATH_VARIABLE) or None
    amx = has_amx()
    if fpmath == "bfloat16" and amx is False:
        warn_once("--fpmath=bfloat16: changes nothing here, since this processor has no AMX")
    elif wanted != is_set and "tensorflow" in sys.modules and amx is not False:
        warn_once(
            f"--fpmath={fpmath}: comes too late, since TensorFlow is imported already; set "
            f"{FPMATH_VARIABLE}={wanted or ''} before this process starts"
        )
    if wanted == is_set or "tensorflow" in sys.modules:
        return
    if wanted is None:
        del os.environ[FPMATH_VARIABLE]
    else:
        os.environ[FPMATH_VARIABLE] = wanted


def used_fpmath():
    """Return how oneDNN computes float32 graphs in this process, of `FPMATHS`."""
    is_set = os.environ.get(FPMATH_VARIABLE) == _VALUE
    return "bfloat16" if is_set and has_amx() is not False else "float32"


@functools.cache
def warn_once(message):
    """Log a warning, once in a process.

    Args:
        message: one line.
    """
    logging.warning("%s", message)
