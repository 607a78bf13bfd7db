"""Generated text inside documents that people write.

    <!-- table experiments/results/openkbp32/table1 -->
    ...
    <!-- end -->

What stands between the markers is the Markdown file of that name.
"""

import pathlib
import re

NOT_RUN = "*not run yet*\n"
_MARKED = re.compile(
    r"(?P<begin><!-- table (?P<name>\S+) -->\n)(?P<text>.*?)(?P<end><!-- end -->)", re.DOTALL
)


def fill(text, root):
    """Put each marker's file between its markers.

    Args:
        text: of the document.
        root: folder that the markers' names are relative to.

    Returns:
        The document; `NOT_RUN` stands where there is no such file.
    """

    def generated(found):
        path = pathlib.Path(root) / f"{found['name']}.md"
        content = path.read_text(encoding="utf-8") if path.is_file() else NOT_RUN
        return f"{found['begin']}\n{content}\n{found['end']}"

    return _MARKED.sub(generated, text)
