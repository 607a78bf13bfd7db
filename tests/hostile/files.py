"""A hundred films that are damaged, or made to do harm.

Every entry of `FILMS` writes to the path that it is given; its name ends as the
film's does. None of them may be read, and all are small on disk: a file of
gigabytes is one hole.
"""

# Each kind registers its own when it is imported.
from tests.hostile import (  # noqa: F401
    dicom_files,
    other_files,
    png_files,
    tiff_files,
    volume_files,
)
from tests.hostile.register import FILMS  # noqa: F401
