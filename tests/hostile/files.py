"""Films that are damaged, or made to do harm.

Every entry of `FILMS` is a function that writes a film to the path that it is given;
its name has the suffix of the film. All must be refused, and all are small on disk:
a file of gigabytes is a sparse one.
"""

# Each module registers its films when it is imported.
from tests.hostile import (  # noqa: F401
    dicom_files,
    other_files,
    png_files,
    tiff_files,
    volume_files,
)
from tests.hostile.register import FILMS  # noqa: F401
