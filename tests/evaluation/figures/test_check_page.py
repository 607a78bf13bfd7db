"""The page of `experiments.prepare --check` in a browser."""

import re

from tests.data.cases import write_dataset
from tests.report.browser import open_page
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.evaluation.figures.contact_sheet import check_dataset

# Write the width of each loaded picture into the page. Pictures far down would only be
# loaded after scrolling.
PROBE = """
<script>
for (const image of document.images) image.loading = "eager";
addEventListener("load", () => {
  for (const image of document.images)
    document.body.append(`seen ${image.getAttribute("src")} ${image.naturalWidth};`);
});
</script>
"""


def test_a_browser_loads_every_picture_without_an_error(tmp_path):
    index, _ = check_dataset(open_dataset(write_dataset(tmp_path / "set", 3, num_folds=3)))
    page = index.with_name("probe.html")
    page.write_text(index.read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    dom, log = open_page(page, tmp_path)
    seen = dict(re.findall(r"seen (\S+) (\d+);", dom))
    assert sorted(seen) == ["histogram.png", "p0.png", "p1.png", "p2.png"], log
    # A picture that cannot be shown has no width.
    assert all(int(width) > 0 for width in seen.values()), seen
    assert "CONSOLE" not in log, log
