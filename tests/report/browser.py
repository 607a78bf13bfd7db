"""Pages in headless Chromium, without a driver: what a page did is read off its DOM."""

import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Before the page's own scripts: whatever goes wrong is collected.
_LISTEN = """<script>
window.problems = [];
addEventListener("error", (e) => problems.push(String(e.message)), true);
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => problems.push(`blocked: ${e.blockedURI}`));
for (const level of ["error", "warn"])
  console[level] = (...words) => problems.push(words.join(" "));
</script>"""
# After them: wait until the page is ready, act, and leave the answer in the DOM.
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
    """Path of a Chromium, or skip."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def run_in_page(page, script, folder):
    """Open a page, run a script in it, and return ``(answer, problems)``.

    Args:
        page: path of the HTML file.
        script: body of an async function; what it returns is the answer.
        folder: folder for the changed page and the browser's profile.
    """
    browser = find_browser()
    html = page.read_text(encoding="utf-8")
    html = html.replace("<head>", "<head>" + _LISTEN, 1).replace(
        "</body>", _ACT % script + "</body>"
    )
    changed = folder / "changed.html"
    changed.write_text(html, encoding="utf-8")
    result = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--use-angle=swiftshader"),
            *("--enable-unsafe-swiftshader", f"--user-data-dir={folder / 'profile'}"),
            *("--window-size=1000,900", "--virtual-time-budget=20000", "--dump-dom"),
            changed.as_uri(),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    left = re.search(r'<pre id="answer">(.*?)</pre>', result.stdout, re.DOTALL)
    assert left, result.stderr[-2000:]
    text = left[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    outcome = json.loads(text)
    return outcome["answer"], outcome["problems"]
