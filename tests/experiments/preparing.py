"""Calls of `experiments.prepare`."""

from tests.programs import run_program


def prepare(*flags):
    """Run `experiments.prepare`; return its exit status and output."""
    return run_program("prepare", *flags)


def content(folder):
    """Return a dict from path to bytes of all files in a folder."""
    return {
        file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def nifti_flags(folder):
    """Return the flags to prepare the NIfTI files in ``in`` into ``out``, two folders in one."""
    return ("--source=nifti", f"--input={folder / 'in'}", f"--output={folder / 'out'}", "--size=32")
