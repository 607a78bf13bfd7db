"""Pages in headless Chromium, without a driver: a script writes its result into the page."""

import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Runs before the page's own scripts and collects all errors and warnings.
_LISTEN = """<script>
window.problems = [];
addEventListener("error", (e) => problems.push(String(e.message)), true);
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => problems.push(`blocked: ${e.blockedURI}`));
for (const level of ["error", "warn"])
  console[level] = (...words) => problems.push(words.join(" "));
</script>"""
# Runs after them: waits until the page is ready, runs the test's script, and writes its
# result into the page.
_ACT = """<script>
(async () => {
  const waiting = () =>
    !document.body.dataset.ready && document.getElementById("failure").hidden;
  for (let i = 0; i < 400 && waiting(); i++)
    await new Promise((done) => setTimeout(done, 25));
  let answer = null;
  try { answer = await (async () => { %s })(); } catch (error) { problems.push(String(error)); }
  const left = document.createElement("pre");
  left.id = "answer";
  left.textContent = JSON.stringify({ answer, problems });
  document.body.append(left);
})();
</script>"""


def find_browser():
    """Return the path of a Chromium; skip the test if there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def open_page(page, folder):
    """Open a page and return ``(dom, log)``: the resulting HTML and the messages of the browser.

    Args:
        page: path of the HTML file.
        folder: folder for the browser's profile.
    """
    result = subprocess.run(
        [
            *(find_browser(), "--headless", "--no-sandbox", "--use-angle=swiftshader"),
            *("--enable-unsafe-swiftshader", f"--user-data-dir={folder / 'profile'}"),
            *("--window-size=1000,900", "--virtual-time-budget=20000", "--dump-dom"),
            *("--enable-logging=stderr", page.as_uri()),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    return result.stdout, result.stderr


def run_in_page(page, script, folder):
    """Open a page, run a script in it, and return ``(answer, problems)``.

    Args:
        page: path of the HTML file.
        script: body of an async function; what it returns is the answer.
        folder: folder for the changed page and the browser's profile.
    """
    html = page.read_text(encoding="utf-8")
    html = html.replace("<head>", "<head>" + _LISTEN, 1).replace(
        "</body>", _ACT % script + "</body>"
    )
    changed = folder / "changed.html"
    changed.write_text(html, encoding="utf-8")
    dom, log = open_page(changed, folder)
    left = re.search(r'<pre id="answer">(.*?)</pre>', dom, re.DOTALL)
    assert left, log[-2000:]
    text = left[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    outcome = json.loads(text)
    return outcome["answer"], outcome["problems"]
