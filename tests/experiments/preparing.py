"""Running `experiments.prepare` as a user does."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def command(*flags):
    """The command line of experiments.prepare."""
    return [sys.executable, "-m", "experiments.prepare", *map(str, flags)]


def prepare(*flags):
    """Run it; returns the finished process."""
    return subprocess.run(
        command(*flags), cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120
    )


def content(folder):
    """Dict from path to bytes of all files in a folder."""
    return {
        file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def nifti_flags(folder):
    """Flags from the folder ``in`` to the folder ``out``."""
    return ("--source=nifti", f"--input={folder / 'in'}", f"--output={folder / 'out'}", "--size=32")
