"""Pictures of the inspector as a reader sees it, for looking at and for the README.

    python tests/browser/screenshots.py --run runs/digits --out figures/inspector

Writes page.png, phone.png, lab.png, lab-dark.png and inspector.gif (a second of choosing tau), and
prints how long it took from the command to a first picture and to the panel, and slider steps from
key to picture.
"""

import argparse
import io
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from servers import WAIT, inspector_page, lab, parameters, run_all, to_panel
from test_inspector_in_a_browser import READY, wait_for

from rurklib.study.run import open_existing

COLORS = 128  # of the animation
# The picture that a slider changes last.
BARS = "[...document.images].find(e => e.alt.startsWith('Probability of'))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/digits"))
    parser.add_argument("--out", type=Path, default=Path("figures/inspector"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    run = asked.run.resolve()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab, began = browser.new_page(viewport={"width": 850, "height": 850}), time.perf_counter()
        with inspector_page(run, Path(home)) as address:
            tab.goto(address, timeout=WAIT * 1000, wait_until="commit")
            tab.locator("#first img").wait_for(timeout=WAIT * 1000)
            took = time.perf_counter() - began
            tab.get_by_role("button", name=READY).wait_for(timeout=WAIT * 1000)
            panel = time.perf_counter() - began
            print(f"from the command to a first picture {took:.1f} s, to the panel {panel:.1f} s")
            animate(tab, asked.out / "inspector.gif")
            press_all(tab)
            tab.set_viewport_size({"width": 1230, "height": 1790})
            tab.get_by_role("heading").first.scroll_into_view_if_needed()
            shoot(tab, asked.out / "page.png")
            tab.close()
            tab = browser.new_page(viewport={"width": 390, "height": 844})
            tab.goto(address, timeout=WAIT * 1000)
            tab.get_by_role("button", name=READY).wait_for(timeout=WAIT * 1000)
            shoot(tab, asked.out / "phone.png")
            tab.close()
        chosen = parameters(open_existing(run))
        for dark in (False, True):
            with lab("05_inspect_perturbations.ipynb", Path(home), dark=dark, **chosen) as address:
                tab = browser.new_page(viewport={"width": 1500, "height": 1000})
                tab.goto(address, timeout=WAIT * 1000)
                run_all(tab)
                button = tab.get_by_role("button", name=READY)
                button.wait_for(timeout=WAIT * 1000)
                to_panel(tab)
                shoot(tab, asked.out / f"lab{'-dark' if dark else ''}.png")
                tab.close()
        browser.close()


def animate(tab: Page, path: Path) -> None:
    """Move tau from a twentieth of its reach to three quarters, one picture a step."""
    tau = tab.get_by_role("slider").nth(1)
    frames, took = [], []
    for key in ("Home", *["ArrowRight"] * 30):
        before = tab.evaluate(f"{BARS}.src")
        began = time.perf_counter()
        tau.press(key)
        tab.wait_for_function(f"was => {BARS}.src != was", arg=before)
        tab.evaluate(f"{BARS}.decode().then(() => new Promise(f => requestAnimationFrame(f)))")
        took.append(time.perf_counter() - began)
        frames.append(Image.open(io.BytesIO(tab.screenshot())).convert("RGB"))
    small = [f.resize((600, 600), Image.Resampling.LANCZOS) for f in frames[2::2]]
    together = Image.new("RGB", (600, 600 * 3))
    for k, frame in enumerate((small[0], small[len(small) // 2], small[-1])):
        together.paste(frame, (0, 600 * k))
    palette = together.quantize(COLORS, Image.Quantize.MAXCOVERAGE)
    images = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in small]
    images[0].save(path, save_all=True, append_images=images[1:], duration=300, loop=0)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    print(
        f"slider step, key to picture, {len(took)} steps: median "
        f"{1000 * statistics.median(took):.0f} ms, most {1000 * max(took):.0f} ms"
    )


def press_all(tab: Page) -> None:
    tab.get_by_label("model", exact=True).select_option("RURK")
    for name, words in (("running ratio", "The band is the 95 %"),):
        tab.get_by_role("button", name=name).click()
        wait_for(tab, words)
    tab.wait_for_function(
        "[...document.querySelectorAll('[role=status]')]"
        ".filter(e => e.innerText == 'done').length == 1",
        timeout=WAIT * 1000,
    )


def shoot(tab: Page, path: Path) -> None:
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    picture.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
