"""What is put into the live page, what isn't, and the committed one; tests/browser opens one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rurklib.checks import InputError
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.result import ResidualKnowledge
from rurklib.study.page import build
from rurklib.study.page.build import layers, page, telling
from rurklib.study.run import open_existing, open_run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "layer",
    [
        nn.GELU(),
        nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 2, (3, 1)),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(2, track_running_stats=False),
        nn.MaxPool2d(3, stride=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(0),
    ],
    ids=str,
)
def test_a_layer_that_the_page_would_compute_otherwise_is_refused(layer):
    with pytest.raises(InputError, match="small-cnn"):
        layers(nn.Sequential(nn.ReLU(), layer))


def test_batchnorm_is_folded_where_that_is_exact_and_the_net_left_alone(left_as_found):
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3))
    net.train()(5 * torch.rand(9, 2, 4, 4))
    with torch.no_grad():
        net[2].weight.mul_(3).add_(1)
    with left_as_found(net.eval()):
        (first, scale), (second, own) = layers(net)
    assert (first["kind"], second["kind"]) == ("scale", "conv2d")
    x = torch.rand(6, 2, 1, 1)
    scaled = x[..., 0, 0].double() * scale["weight"] + scale["bias"]
    mine = scaled @ own["weight"].T + own["bias"]
    assert torch.allclose(mine.float(), net(x)[..., 0, 0], atol=1e-5)


def test_the_steps_take_what_tells_most_and_was_known_without_noise():
    """Sample 1's distance is the largest, but a re-trained model misses it without noise; then
    sample 2's at the third tau. SalUn recognises least; it is far below on 0, where Original is
    below as well, so 3 is taken."""
    hits = np.array([
        # tau 0               the second           the third, of 10
        [[10, 10, 10, 10], [3, 10, 8, 9], [3, 10, 9, 9]],  # Original
        [[10, 10, 10, 10], [9, 9, 9, 9], [9, 9, 9, 9]],  # GD
        [[10, 10, 10, 10], [0, 9, 8, 4], [9, 9, 9, 4]],  # SalUn
        [[10, 10, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],  # re-trained
        [[10, 0, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],
        [[10, 10, 10, 10], [9, 3, 7, 9], [9, 3, 5, 9]],
    ])  # fmt: skip
    models = ("Original-seed0", "GD-seed0", "SalUn-seed0")
    references = tuple(f"Re-train-seed{k}" for k in (1000, 1001, 1002))
    named = dict(zip((*models, *references), hits, strict=True))
    counts = Counts(Measurement((0.0, 0.2, 0.3), draws=10), named, named)
    measured = ResidualKnowledge(counts, models, references, np.zeros(4))
    order, steps = telling(measured)
    assert order.tolist() == [2, 3, 0, 1]
    assert steps == [
        {"model": "Original", "sample": 0, "tau": 0.3},
        {"model": "SalUn", "sample": 1, "tau": 0.2},
    ]


def test_other_than_images_of_one_class_is_refused(small_run, tmp_path):
    run = open_run("iris", tmp_path / "iris", seeds=[0], dry=True)
    with pytest.raises(InputError, match="runs/digits"):
        page(run, ["GD"])
    mixed = open_existing(small_run)
    mixed = replace(mixed, scenario=replace(mixed.scenario, forget_class=-1), folder=tmp_path)
    with pytest.raises(InputError, match="one class"):
        page(mixed, ["GD"])


def test_a_method_that_is_named_twice_stands_there_once(small_run):
    run = open_existing(small_run)
    once, twice = (page(run, named) for named in (["GD"], ["GD", "GD"]))
    assert once == twice


def test_names_from_data_are_no_markup(small_run):
    run = open_existing(small_run)
    run.data  # noqa: B018  (read, then changed)
    object.__setattr__(run.data, "classes", ("</script><b>", *run.data.classes[1:]))
    html = page(run, ["GD"])
    assert html.count("</script>") == 2
    assert json.loads(re.search(r'id="data">(.*?)</script>', html)[1])["classes"][0][:4] == "&lt;"


def test_the_committed_page_is_small_whole_and_of_todays_files():
    """Fails if a file of the page was changed and the page not made again: its README says how."""
    html = (ROOT / "figures" / "try-it.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 2_000_000
    parts = [p for p in build.HERE.iterdir() if p.suffix in (".css", ".js")]
    assert len(parts) == 8
    assert all(p.read_text(encoding="utf-8") in html for p in parts)
    kept = (build.HERE / "page.html").read_text(encoding="utf-8")
    assert all(line in html for line in kept.splitlines() if "{{" not in line)
    assert not re.search(r"\{\{[\w.]+\}\}", html)
    content = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert [m["name"] for m in content["models"]] == [
        "Original", *(f"Re-trained {k}" for k in range(1, 5)), "GD", "RURK", "SalUn",
    ]  # fmt: skip
    assert re.findall(r"https?://[^\"' <]+", html) == ["https://arxiv.org/abs/2601.22359"]
    assert "default-src 'none'" in html
    assert "(figures/try-it.html)" in (ROOT / "README.md").read_text(encoding="utf-8")[:3000]
