"""Draw the report of a reconstruction for README.md, with Chromium.

python docs/picture_programs/report.py demo/reconstruction/report.html docs/images/report.png
"""

import pathlib
import subprocess
import sys

from PIL import Image

WIDTH, HEIGHT = 1280, 2050


def main(report, picture):
    """Take the picture and make it smaller."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--virtual-time-budget=8000", f"--window-size={WIDTH},{HEIGHT}"]
    page = pathlib.Path(report).resolve().as_uri()
    subprocess.run(["chromium", *options, f"--screenshot={picture}", page], check=True)
    image = Image.open(picture).convert("RGB").crop((70, 0, WIDTH - 70, HEIGHT))
    image = image.resize((660, 660 * image.height // image.width), Image.Resampling.LANCZOS)
    image.save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
