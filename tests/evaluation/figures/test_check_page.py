"""The page of `experiments.prepare --check`, as a browser shows it."""

import re
import shutil
import subprocess

import pytest

from tests.data.cases import write_dataset
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.evaluation.figures.contact_sheet import check_dataset

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

# Writes into the page how wide each of its pictures turned out to be. Pictures far
# down are loaded when someone scrolls there, which nobody does here.
PROBE = """
<script>
for (const image of document.images) image.loading = "eager";
addEventListener("load", () => {
  for (const image of document.images)
    document.body.append(`seen ${image.getAttribute("src")} ${image.naturalWidth};`);
});
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(NAMES)}")
def test_a_browser_loads_every_picture_and_has_no_complaint(tmp_path):
    index, _ = check_dataset(open_dataset(write_dataset(tmp_path / "set", 3, num_folds=3)))
    page = index.with_name("probe.html")
    page.write_text(index.read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000")
    result = subprocess.run(
        [
            *(BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}"),
            *("--enable-logging=stderr", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    seen = dict(re.findall(r"seen (\S+) (\d+);", result.stdout))
    assert sorted(seen) == ["histogram.png", "p0.png", "p1.png", "p2.png"], result.stderr
    # A picture that cannot be shown has no width.
    assert all(int(width) > 0 for width in seen.values()), seen
    assert "CONSOLE" not in result.stderr, result.stderr
