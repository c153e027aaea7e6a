"""The live page in a browser, from its file, the network off: it computes what the package does, in
time, and works by keys, on a phone, in the dark and without a word on the console."""

import base64
import re

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import rurklib
from rurklib.models import Normalized
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.result import ResidualKnowledge
from rurklib.study.cli import main
from rurklib.study.models import load_models
from rurklib.study.page.build import layers
from rurklib.study.run import open_existing
from rurklib.tensors import as_float

NAMES = ["Original", "GD", "RURK"]  # and three re-trained, after the first


@pytest.fixture(scope="module")
def html(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "try-it.html"
    words = ["page", "--run", str(small_run), "--out", str(out), "--methods", "GD,RURK"]
    main(words)
    return out


@pytest.fixture(scope="module")
def opened(chromium, html):
    """``opened(**context)``: the page, its first step drawn; at the end no console said a word."""
    pages, said = [], []

    def open_page(**context):
        asked = {"viewport": {"width": 1280, "height": 900}, "offline": True, **context}
        page = chromium.new_context(**asked).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(html.as_uri())
        settled(page)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert said == []


@pytest.fixture(scope="module")
def page(opened):
    return opened()


def settled(page) -> None:
    """Waits until all copies that were asked for are drawn."""
    page.evaluate(
        "new Promise(r => { const f = () => rurk.state.drawing ? setTimeout(f, 9) : r(); f() })"
    )


@pytest.fixture(scope="module")
def models(small_run):
    """In the page's order: Original, three re-trained, GD, RURK; with forget samples and labels."""
    run = open_existing(small_run)
    nets = load_models(run)
    first, *rest = (next(n for n in nets if n.method == m) for m in NAMES)
    names = [first, *run.names("Re-train")[:3], *rest]
    x, y = run.pair("forget")
    return {str(n): nets[n] for n in names}, as_float(x), y


ASK = """([tau, count, of]) => {
  rurk.state.tau = tau;
  const seen = Array.from({ length: count }, (_, i) => rurk.look(i % of, Math.floor(i / of)));
  const zs = seen.map(s => Array.from(rurk.noise(rurk.SEED, s.sample, s.draw, 64)));
  return { copies: seen.map(s => Array.from(s.copy)), zs, samples: seen.map(s => s.sample),
    images: rurk.DATA.images, logits: seen.map(s => s.logits.map(z => Array.from(z))) };
}"""


def test_copies_and_answers_are_the_packages_on_1000_copies(page, models):
    """Logits within 1e-4 and every answer the same; copies are x + tau z in [0, 1], z normal."""
    nets, x, _ = models
    got = page.evaluate(ASK, [0.2, 1000, 45])
    images = np.frombuffer(base64.b64decode(got.pop("images")), "<f4").reshape(45, 64)
    got = {name: np.array(values) for name, values in got.items()}
    rows = {row.tobytes() for row in x.flatten(1).numpy()}
    assert {row.tobytes() for row in images} == rows, "the forget samples, to the bit"
    expected = np.clip(images[got["samples"]] + 0.2 * got["zs"], 0, 1)
    assert got["copies"] == pytest.approx(expected, abs=1e-6)
    assert stats.kstest(got["zs"].ravel(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(got["zs"][:-1].ravel(), got["zs"][1:].ravel())[0, 1]) < 0.02
    copies = torch.tensor(got["copies"], dtype=torch.float32).view(-1, 1, 8, 8)
    with torch.inference_mode():
        own = torch.stack([net(copies) for net in nets.values()], 1).numpy()
    assert got["logits"] == pytest.approx(own, abs=1e-4)
    assert (got["logits"].argmax(-1) == own.argmax(-1)).all()


def odd_net() -> nn.Module:
    """What no net of ours has: BatchNorm first and after a pool, strides, biases, uneven cells."""
    net = nn.Sequential(
        nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.BatchNorm2d(3), nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5, bias=False),
    )  # fmt: skip
    net.train()(2 * torch.rand(64, 2, 11, 11) - 1)
    return Normalized(net).eval()


def test_other_nets_of_known_layers_answer_alike(page):
    net, x = odd_net(), torch.rand(2, 11, 11)
    found = layers(net)
    what = [{**w, "sizes": {k: t.numel() for k, t in own.items()}} for w, own in found]
    flat = torch.cat([t.flatten() for _, own in found for t in own.values()]).float().numpy()
    asked = [what, base64.b64encode(flat.tobytes()).decode(), x.flatten().tolist()]
    ask = "([w, b, x]) => Array.from(rurk.net(w, b, [2, 11, 11])(x))"
    with torch.inference_mode():
        assert page.evaluate(ask, asked) == pytest.approx(net(x[None])[0].tolist(), abs=1e-4)


COUNTED = """async ([choice, tau, draws]) => {
  rurk.state.tau = tau;
  await rurk.choose(choice, draws);
  const t = rurk.tally(), of = f => rurk.MODELS.map((_, m) => f(m));
  return { hits: t.hits, ratio: of(m => t.ratio(m)), half: of(m => t.halfWidth(m)), band: t.band(),
    prediction: t.prediction(rurk.DATA.quantile), side: of(m => t.place(m).side) };
}"""
REFERENCES = [1, 2, 3]  # their places among the models


def half_widths(hits: np.ndarray, n: int) -> np.ndarray:
    """Half the 95 % Monte Carlo interval of every model's ratio, by the delta method draw by draw,
    at least what the rule of three allows. ``hits`` int [model, draw], over n samples."""
    shares, draws = hits / n, hits.shape[1]
    widths = []
    for m in range(len(hits)):
        others = shares[[k for k in REFERENCES if k != m]].mean(axis=0)
        apart = shares[m] - shares[m].mean() / others.mean() * others
        error = stats.t.ppf(0.975, draws - 1) * apart.std(ddof=1) / np.sqrt(draws)
        widths.append(max(error, 3 / (draws * n)) / others.mean())
    return np.array(widths)


def by_package(hits: np.ndarray, draws: int) -> ResidualKnowledge:
    """What the package makes of hits [model, sample] at one radius."""
    own = dict(enumerate(hits[:, None]))
    counts = Counts(Measurement(0.2, draws=draws), own, own)
    return ResidualKnowledge(counts, (0,), tuple(REFERENCES), hits[0])


def counted(page, models, tau: float, draws: int, n: int) -> np.ndarray:
    """Hits [model, draw, sample] by PyTorch, on the page's copies of its first n samples."""
    nets, _, y = models
    copies = torch.tensor(page.evaluate(ASK, [tau, n * draws, n])["copies"]).view(-1, 1, 8, 8)
    with torch.inference_mode():
        right = torch.stack([net(copies).argmax(1) == y[0] for net in nets.values()])
    return right.view(len(nets), draws, n).numpy()


@pytest.mark.parametrize(("choice", "tau", "draws"), [(0, 0.2, 60), (-1, 0.2, 8), (-1, 0.01, 3)])
def test_counts_and_what_they_come_to_are_the_packages(page, models, choice, tau, draws):
    """Ratio, Monte Carlo error, band and prediction, from the same copies; and the curve is within
    that error of the measurement, on copies of its own."""
    n = 45 if choice < 0 else 1
    right = counted(page, models, tau, draws, n)
    got = page.evaluate(COUNTED, [choice, tau, draws])
    assert np.array_equal(got["hits"], right.sum(-1))
    rows = [by_package(right.sum(1), draws).rows(m).iloc[0] for m in range(6)]
    assert got["ratio"] == pytest.approx([row.ratio_of_means for row in rows])
    half = half_widths(right.sum(-1), n)
    assert got["half"] == pytest.approx(half, rel=0.1 if draws < 10 else 0.01)
    ends = [got["band"]["low"], got["band"]["high"]]
    assert ends == pytest.approx([rows[0].null_low, rows[0].null_high])
    expected = [rows[0].predict_low, rows[0].predict_high]
    assert [got["prediction"][k] for k in ("low", "high")] == pytest.approx(expected)
    if choice < 0:
        nets, x, y = models
        names = list(nets)
        measured = rurklib.residual_knowledge(
            {m: nets[m] for m in names if names.index(m) not in REFERENCES},
            [nets[names[k]] for k in REFERENCES], x, y, taus=[tau], draws=30, seed=1,
        )  # fmt: skip
        for m in (0, 4, 5):
            theirs = measured.rows(names[m]).ratio_of_means.iloc[0]
            assert abs(got["ratio"][m] - theirs) <= 2 * got["half"][m]


@pytest.mark.parametrize("missed", ["five samples, always", "one copy of 600", "any, now and then"])
def test_errors_and_prediction_are_the_packages_where_references_hardly_differ(page, missed, rng):
    """A least spread: where they agree to the sample, or a miss is rare; and a ratio far from 1."""
    right = torch.ones(4, 10, 20, dtype=torch.bool)  # [model, draw, sample]
    if missed == "five samples, always":
        right[..., :5] = False
    elif missed == "one copy of 600":
        right[1, 3, 7] = False
    else:
        right = torch.rand(4, 10, 20, generator=rng(0)) < torch.tensor([0.3, 0.8, 0.8, 0.8]).view(
            4, 1, 1
        )
    ask = """([right, q]) => {
      const t = new (rurk.tally().constructor)([false, true, true, true], 20);
      right[0].forEach((_, d) => t.add(right.map(own => own[d])));
      return [...Object.values(t.prediction(q)), ...right.map((_, m) => t.halfWidth(m))];
    }"""
    row = by_package(right.sum(1).numpy(), 10).rows(0).iloc[0]
    got = page.evaluate(ask, [right.tolist(), float(stats.t.ppf(0.975, 2))])
    half = half_widths(right.sum(-1).numpy(), 20)
    assert got == pytest.approx([row.predict_low, row.predict_high, *half], rel=1e-3)


def test_a_side_is_told_when_copies_cannot_change_it_and_not_before(page):
    """Known answers: always or hardly ever right, too few copies; and when there are enough."""
    ask = """([own, draws]) => {
      const t = new (rurk.tally().constructor)([false, true, true, true], 1);
      for (let d = 0; d < draws; d++)
        t.add([[d % 10 < own], [(d + 4) % 10 < 6], [(d + 6) % 10 < 5], [(d + 8) % 10 < 5]]);
      return t.place(0);
    }"""
    assert page.evaluate(ask, [10, 100])["side"] == "above"
    assert page.evaluate(ask, [1, 100])["side"] == "below"
    sure = re.sub(r"\[\(d.*?\]", "[true]", ask)
    assert [page.evaluate(sure, [0, draws])["side"] for draws in (9, 10)] == ["", "below"]
    near = page.evaluate(ask, [8, 40])
    assert near["side"] == ""
    enough = [round(part * (40 + near["more"]), -1) for part in (0.8, 1.2)]  # in tens, as above
    assert [page.evaluate(ask, [8, draws])["side"] for draws in enough] == ["", "above"]


AXE = "axe_playwright_python.sync_playwright"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation_in_any_step(opened, scheme):
    axe = pytest.importorskip(AXE, reason="axe-playwright-python isn't installed").Axe()
    page = opened(color_scheme=scheme)
    for step in range(4):
        page.evaluate(f"rurk.goTo({step})")
        settled(page)
        found = axe.run(page).response["violations"]
        assert [(v["id"], n["html"]) for v in found for n in v["nodes"]] == []


def test_the_steps_lead_on_by_keys_alone_and_then_everything_can_be_tried(opened):
    page = opened()
    assert page.locator("#models tr:visible").count() == 1
    for heading, rows in (("never saw", 5), ("too hard", 4), ("Your turn", 6)):
        page.locator("#next").focus()
        page.keyboard.press("Enter")
        settled(page)
        assert heading in page.evaluate("document.activeElement.textContent")
        assert page.locator("#models tr:visible").count() == rows
        assert "copies" in page.locator("#said").inner_text()
    before = page.locator("#copy").evaluate("c => c.toDataURL()")
    page.locator("#tau").focus()
    page.keyboard.press("ArrowRight")
    settled(page)
    assert page.locator("#tauValue").inner_text().startswith("0.21")
    assert page.locator("#copy").evaluate("c => c.toDataURL()") != before
    page.keyboard.press("Tab")  # to "Draw one of each"
    page.keyboard.press("Enter")
    settled(page)
    assert page.evaluate("rurk.tally().draws") == 21
    page.locator("#choices input:checked").focus()  # all together
    page.keyboard.press("ArrowDown")
    settled(page)
    assert page.evaluate("rurk.tally().draws") == 100
    assert "of 45" in page.locator("#imageName").inner_text()


def test_paint_by_keys_and_by_pointer(page):
    page.evaluate("rurk.goTo(2)")  # another picture than before, and tau as it was
    page.evaluate("rurk.goTo(3)")
    page.evaluate("rurk.choose(1)")
    settled(page)
    ink = "[...(rurk.state.painted ?? [])]"
    before = page.evaluate("[...rurk.look(rurk.state.choice, 0).copy]")
    page.locator("#image").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Space"):
        page.keyboard.press(key)
    settled(page)
    painted = page.evaluate(ink)
    assert painted[17] in (0, 1)
    box = page.locator("#image").bounding_box()
    cell = box["width"] / 8
    page.mouse.move(box["x"] + 0.5 * cell, box["y"] + 7.5 * cell)
    page.mouse.down()
    page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 7.5 * cell, steps=8)
    page.mouse.up()
    settled(page)
    assert len(set(page.evaluate(ink)[56:59])) == 1
    assert page.evaluate("[...rurk.look(rurk.state.choice, 0).copy]") != before
    assert "painted" in page.locator("#imageName").inner_text()
    page.get_by_role("button", name="Undo painting").click()
    settled(page)
    assert page.evaluate(ink) == []
    assert page.evaluate("[...rurk.look(rurk.state.choice, 0).copy]") == before


def test_on_a_phone_nothing_is_cut_off(opened):
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True)
    for step in range(4):
        page.evaluate(f"rurk.goTo({step})")
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        inside = (
            "e => { const b = e.getBoundingClientRect(); return b.left >= 0 && b.right <= 390; }"
        )
        for part in page.locator(
            "main :is(button, output, td, th, p, canvas#image, svg#chart):visible"
        ).all():
            assert part.evaluate(inside), part.evaluate("e => e.outerHTML")


def test_it_is_quick(page):
    """30 ms a draw for all models and a second for a hundred, three times over: machines differ.
    What it takes is printed."""
    took = page.evaluate("""async () => {
      const now = () => performance.now();
      const time = async f => { const t = now(); await f(); return now() - t; };
      const one = [], many = [];
      for (let i = 0; i < 20; i++) one.push(await time(() => rurk.look(0, i)));
      rurk.goTo(3);
      rurk.choose(0, 1);
      for (let i = 0; i < 3; i++) many.push(await time(() => rurk.draw(100)));
      return [one, many].map(all => all.sort((a, b) => a - b)[Math.floor(all.length / 2)]);
    }""")
    print(f"a draw for all models {took[0]:.1f} ms, a hundred {took[1]:.0f} ms")
    assert took[0] < 3 * 30
    assert took[1] < 3 * 1000
