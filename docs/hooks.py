"""MkDocs hooks: README as the first page, one API page a package, pictures of results.

The pages in the repository link to files relative to themselves, so that they also read on
a code host; here those links are turned to what the site holds.
"""

import ast
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "xctrs_tf"
# What `xctrs_tf.__all__` names, and where `xctrs_tf` imports it from.
PUBLIC = (
    "xctrs_tf.reconstruction.load",
    "xctrs_tf.ct_segmentation.segmenter.load_segmenter",
    "xctrs_tf.models.xctrsnet.XCTRSNet",
)
# Files outside docs/ that pages link to.
LINKED = (
    "experiments/results/**/*.png",
    "experiments/results/**/*.md",
    "experiments/results/*.json",
    "experiments/results/**/*.jsonl",
    "xctrs_tf/pretrained/*/assets.extra/MODEL_CARD.md",
)
ROOT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")


def api_packages():
    """List the packages with documented modules, as dotted names."""
    folders = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
    return [".".join(folder.relative_to(ROOT).parts) for folder in folders]


def on_config(config):
    """Add the API pages to the navigation."""
    pages = [{name.removeprefix("xctrs_tf."): f"api/{name}.md"} for name in api_packages()]
    config.nav.append({"API": pages})
    return config


def on_files(files, config):
    """Add README, the API pages and the linked results."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=_inside(readme)))
    for name in api_packages():
        files.append(File.generated(config, f"api/{name}.md", content=_api_page(name)))
    for pattern in (*LINKED, *ROOT_PAGES):
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            if path.suffix == ".md":
                content = _inside(path.read_text(encoding="utf-8"))
                files.append(File.generated(config, place, content=content))
            else:
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Turn links that leave docs/ to what the site holds."""
    if page.file.src_uri == "index.md" or "/" in page.file.src_uri:
        return markdown
    return re.sub(r"\]\(\.\./", "](", markdown).replace("](README.md", "](index.md")


def _inside(text):
    """Turn the links of a page outside docs/ into it: the site has its pages at the top."""
    return re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", text)


def _api_page(name):
    """Return a page of a package: its modules, one after another."""
    folder = ROOT.joinpath(*name.split("."))
    modules = [path.stem for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    blocks = [f"# {name}\n"]
    if ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))):
        hidden = "members: false\n      show_root_heading: false\n"
        blocks.append(f"::: {name}\n    options:\n      {hidden}")
    if name == PACKAGE.name:
        # They are imported at first use, so that their package does not show them.
        blocks += [f"::: {each}\n" for each in PUBLIC]
    blocks += [f"::: {name}.{module}\n" for module in modules]
    return "\n".join(blocks)
