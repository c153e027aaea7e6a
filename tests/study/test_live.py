"""What is put into the live page, and the committed one; tests/browser opens one."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rurklib.checks import InputError
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.result import ResidualKnowledge
from rurklib.study import live
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, open_existing, open_run

ROOT = Path(__file__).parents[2]


def content(html: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


def unpacked(text: str, kind: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def test_answers_and_ratios_are_the_packages_of_the_stored_copies(small_run):
    """Asked again here, of every stored picture, tau and noise."""
    run = open_existing(small_run)
    data = content(live.page(run, ["GD"]))
    names = [("Original", 0), *(("Re-train", k) for k in (1000, 1001, 1002)), ("GD", 0)]
    nets = load_models(run, [ModelId(*n) for n in names]).values()
    images = unpacked(data["images"], "u1", 45, 1, 8, 8) / 255
    noise = unpacked(data["noise"], "i1", 60, 1, 8, 8) / 32
    assert abs(noise.std() - 1) < 0.02
    shape = (45, 7, 60, 5)
    answers, shares = (unpacked(data[k], "u1", *shape) for k in ("answers", "shares"))
    ratios = unpacked(data["ratios"], "<u2", 46, *shape[1:])
    for t in (0, 4, 6):
        copies = np.clip(images[:, None] + data["taus"][t] * noise, 0, 1).astype(np.float32)
        with torch.inference_mode():
            p = torch.stack([n(torch.tensor(copies).flatten(0, 1)).softmax(1) for n in nets], -1)
        most, answer = p.max(1)
        assert (answer.view(45, 60, 5).numpy() == answers[:, t]).mean() > 0.999  # uint8 images
        assert np.abs(100 * most.view(45, 60, 5).numpy() - shares[:, t]).max() < 2
        hits = (answers[:, t] == 9).sum(1).T  # [model, picture]
        own = dict(enumerate(hits[:, None]))
        counts = Counts(Measurement(0.2, draws=60), own, own)
        measured = ResidualKnowledge(counts, (0, 4), (1, 2, 3), np.full(45, 9))
        for m in range(5):
            expected = measured.rows(m).ratio_of_means.iloc[0]
            assert ratios[45, t, 59, m] / 1000 == pytest.approx(expected, abs=6e-4)


def test_the_steps_take_what_tells_most_and_was_known_without_noise(monkeypatch):
    """Picture 1's distance is the largest, but a re-trained model misses it without noise; then
    picture 2's at the third tau. Model 2 recognises least; it is far below on 0, where Original is
    below as well, so 3 is taken."""
    monkeypatch.setattr(live, "TELLING", slice(1, None))
    hits = np.array([
        # tau 0               the second           the third, of 10
        [[10, 10, 10, 10], [3, 10, 8, 9], [3, 10, 9, 9]],  # Original
        [[10, 10, 10, 10], [9, 9, 9, 9], [9, 9, 9, 9]],  # GD
        [[10, 10, 10, 10], [0, 9, 8, 4], [9, 9, 9, 4]],  # SalUn
        [[10, 10, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],  # re-trained
        [[10, 0, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],
        [[10, 10, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],
    ])  # fmt: skip
    order, steps = live.telling(hits, (0, 1, 2), (3, 4, 5))
    assert order.tolist() == [2, 3, 0, 1]
    assert steps == [{"model": 0, "picture": 0, "tau": 2}, {"model": 2, "picture": 1, "tau": 1}]


def test_other_than_images_of_one_class_is_refused(small_run, tmp_path):
    run = open_run("iris", tmp_path / "iris", seeds=[0], dry=True)
    with pytest.raises(InputError, match="runs/digits"):
        live.page(run, ["GD"])
    mixed = open_existing(small_run)
    mixed = replace(mixed, scenario=replace(mixed.scenario, forget_class=-1), folder=tmp_path)
    with pytest.raises(InputError, match="one class"):
        live.page(mixed, ["GD"])


def test_names_from_data_are_no_markup(small_run):
    run = open_existing(small_run)
    run.data  # noqa: B018  (read, then changed)
    object.__setattr__(run.data, "classes", ("</script><b>", *run.data.classes[1:]))
    html = live.page(run, ["GD"])
    assert html.count("</script>") == 2
    assert content(html)["classes"][0][:4] == "&lt;"


def test_the_committed_page_is_small_whole_and_of_todays_files():
    """Fails if a file of the page was changed and the page not made again: `make page`."""
    html = (ROOT / "figures" / "try-it.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 1_000_000
    for name in ("live.css", "live.js"):
        assert (live.HERE / name).read_text(encoding="utf-8") in html
    kept = (live.HERE / "live.html").read_text(encoding="utf-8")
    assert all(line in html for line in kept.splitlines() if "{{" not in line)
    assert not re.search(r"\{\{[\w.]+\}\}", html)
    assert [m["name"] for m in content(html)["models"]] == [
        "Original", *(f"Re-trained {k}" for k in range(1, 5)), "GD", "RURK", "SalUn",
    ]  # fmt: skip
    assert re.findall(r"https?://[^\"' <]+", html) == ["https://arxiv.org/abs/2601.22359"]
    assert "default-src 'none'" in html
