"""Running `experiments.prepare` as a user does."""

from tests.programs import run_program


def prepare(*flags):
    """Run it; returns the finished program."""
    return run_program("prepare", *flags)


def content(folder):
    """Dict from path to bytes of all files in a folder."""
    return {
        file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def nifti_flags(folder):
    """Flags from the folder ``in`` to the folder ``out``."""
    return ("--source=nifti", f"--input={folder / 'in'}", f"--output={folder / 'out'}", "--size=32")
