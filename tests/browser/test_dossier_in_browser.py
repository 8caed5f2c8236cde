"""The dossier in a real browser: on a phone, on a desk, and on paper."""

import json
import re
import shutil
import subprocess

import pytest
from fixtures_dossier import CONFIG, TEMPLATE, dossier_content

from haemosynth.report.dossier import render

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
# A phone's width is given by a frame: a headless window cannot be made narrower than 500 pixels.
FRAME = """<!DOCTYPE html><title>frame</title>
<iframe id="f" src="dossier.html" style="width:{width}px;height:2000px;border:0"></iframe><pre id="found"></pre>
<script>
f.onload = () => {{
  const page = f.contentDocument, root = page.documentElement;
  const outside = e => !e.closest('.scroll') && e.getBoundingClientRect().right > root.clientWidth + 1;
  found.textContent = JSON.stringify({{
    page: root.scrollWidth,
    width: root.clientWidth,
    images: [...page.images].map(i => [i.alt, i.naturalWidth, i.clientWidth]),
    wide: [...page.querySelectorAll('main *')].filter(outside).map(e => e.tagName),
    headings: [...page.querySelectorAll('h1,h2,h3')].map(h => h.tagName + ' ' + h.textContent),
  }});
}}
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    (place / "dossier.html").write_text(render(dossier_content(beside=True), CONFIG, ["default"], False, TEMPLATE))
    return place


def chromium(folder, *arguments):
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window_and_every_figure_loads(folder, width):
    (folder / "frame.html").write_text(FRAME.format(width=width))
    url = (folder / "frame.html").as_uri()
    text = chromium(folder, "--allow-file-access-from-files", "--virtual-time-budget=8000", "--dump-dom", url)
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', text, flags=re.DOTALL)[1].replace("&amp;", "&"))
    assert found["width"] == width
    assert found["page"] <= width
    assert found["wide"] == []
    assert len(found["images"]) > 10
    assert all(natural > 0 and shown <= width for _, natural, shown in found["images"])
    assert found["headings"][0].startswith("H1 ")


def test_it_prints(folder):
    chromium(folder, f"--print-to-pdf={folder / 'dossier.pdf'}", (folder / "dossier.html").as_uri())
    assert (folder / "dossier.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "dossier.pdf").stat().st_size > 20_000
