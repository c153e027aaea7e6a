"""The plane: every stored answer is what the package says when it is asked directly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rurklib
from rurklib.checks import InputError
from rurklib.data.bundled import iris
from rurklib.models import build
from rurklib.study import inspector
from rurklib.study.inspector.few import forget_few
from rurklib.train.fit import fit


def weights(model):
    return torch.cat([p.flatten() for p in model.parameters()]).detach()


def test_a_case_is_a_request_and_models_trained_on_both_sides_of_it(same_random_state):
    """Fails if a reference sees a forget sample, Original misses one, or a seed isn't its own."""
    data, training = iris((0, 1)), {"epochs": 3, "lr": 0.3}
    with same_random_state():
        case = inspector.forget_and_retrain(data, seed=4, forget=5, references=2, training=training)
    (x, y), (kept, lost) = data.train, forget_few(data, 5, seed=4)
    assert torch.equal(case.forget[0], x[lost])
    assert torch.equal(case.retain[1], y[kept])
    own = fit(build("mlp", 2, 3, seed=4), x, y, seed=4, **training)
    second = fit(build("mlp", 2, 3, seed=1001), x[kept], y[kept], seed=1001, **training)
    assert torch.equal(weights(case.original), weights(own))
    assert torch.equal(weights(case.references[1]), weights(second))
    assert len(case.references) == 2


@pytest.mark.parametrize(("lam", "steps"), [(0.0, 8), (0.3, 3), (0.3, 8)])
def test_each_point_of_the_trajectory_is_a_run_of_its_own(flat, plane_settings, lam, steps):
    """Fails if a short run is cut from a long one (the schedule ends with the run), or the clean
    forget term of Algorithm 1 is in it."""
    case = flat.case
    direct = rurklib.unlearn(
        "RURK", case.original, case.retain, case.forget, seed=0, epochs=steps,
        lambda_f=0.0, lambda_a=lam, **plane_settings,
    )  # fmt: skip
    assert torch.equal(weights(flat.path[lam, steps]), weights(direct))


def test_no_steps_is_original_and_no_lambda_is_gd(flat):
    assert flat.path[0.3, 0] is flat.case.original
    assert torch.allclose(weights(flat.path[0.0, 8]), weights(flat.gd_net), atol=1e-6)
    assert np.array_equal(flat.rurk[0, 0], flat.original)
    assert np.array_equal(flat.rurk[1, 0], flat.original)
    assert np.array_equal(flat.rurk[0, 2], flat.gd)


def test_a_step_is_one_whatever_the_retain_set(plane_settings):
    """300 retained samples are more than RURK's usual batch of 128."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(303, 2, generator=g), torch.arange(303) % 3
    net = build("mlp", 2, 3, seed=0)
    pair = (x[3:], y[3:])
    case = inspector.Case(iris((0, 1)), pair, (x[:3], y[:3]), net, (net,), seed=0)
    made = inspector.trajectory(case, [0.0], [1], **plane_settings)
    whole = rurklib.unlearn("GD", net, *[pair, case.forget], epochs=1, lr=0.05, momentum=0.9,
                            weight_decay=0.0, batch_size=300)  # fmt: skip
    assert torch.allclose(weights(made[0.0, 1]), weights(whole), atol=1e-6)


def test_regions_are_the_models_answers(flat):
    """[up, across], the second feature upwards. Fails if axes or settings are mixed up."""
    a, b = np.meshgrid(flat.axis, flat.axis)  # across, up
    grid = torch.tensor(np.stack([a, b], -1).reshape(-1, 2), dtype=torch.float32)

    def asked(model):
        return model(grid).argmax(1).numpy().reshape(21, 21)

    assert (flat.axis[0], flat.axis[-1]) == (0, 1)
    assert np.array_equal(flat.original, asked(flat.case.original))
    for k, reference in enumerate(flat.case.references):
        assert np.array_equal(flat.references[k], asked(reference))
    for i, lam in enumerate(flat.lambdas):
        for j, steps in enumerate(flat.steps):
            assert np.array_equal(flat.rurk[i, j], asked(flat.path[lam, steps]))
    assert len({r.tobytes() for r in (flat.original, *flat.references, flat.rurk[1, 2])}) == 5


def test_answers_on_the_forget_samples(flat):
    x, _ = flat.case.forget
    said = inspector.flat.answers(flat, 0.3, 8, 2)
    models = [flat.case.original, flat.case.references[2], flat.gd_net, flat.path[0.3, 8]]
    for (name, found), model in zip(said.items(), models, strict=True):
        assert np.array_equal(found, model(x).argmax(1).numpy()), name
    assert tuple(said) == inspector.NAMES


def test_four_features_make_no_picture():
    case = inspector.forget_and_retrain(iris(), seed=0, references=1, training={"epochs": 1,
                                         "lr": 0.1})  # fmt: skip
    with pytest.raises(InputError, match="two axes; choose two features"):
        inspector.flatten(case, case.original, {})


def test_the_request_of_the_notebook_shows_what_it_says():
    """On seed 0, whose picture the notebook shows, Original is above the null band, GD too, and
    RURK takes the most away. Fails if the request, a scale or the training changes that."""
    case = inspector.forget_and_retrain(iris((0, 1)), seed=0)
    four = case.original, case.retain, case.forget
    shared = {"epochs": 40, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}
    near = {"lambda_f": 0.0, "lambda_a": 0.1, "tau": 0.05, "v": 8, "perturbation": "uniform-l2"}
    models = {
        "Original": case.original,
        "GD": rurklib.unlearn("GD", *four, **shared),
        "RURK": rurklib.unlearn("RURK", *four, **shared, **near),
    }
    measured = rurklib.residual_knowledge(
        models, case.references, *case.forget, taus=[0.05], perturbation="uniform-l2"
    )
    rows = measured.frame.set_index("model")
    ratio, high = rows.ratio_of_means, rows.null_high["Original"]
    assert ratio["Original"] > ratio["GD"] > high > ratio["RURK"]
    assert len(case.references) == 8


# --- the ball -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "p"), [("linf", np.inf), ("l2", 2), ("l1", 1)])
def test_points_fill_the_ball_and_the_outline_is_its_rim(flat, norm, p):
    ball = inspector.around(flat, 1, 0.04, norm, 0.3, 8, 0)
    middle = flat.case.forget[0][1].numpy()
    size = np.linalg.norm(ball.points - middle, ord=p, axis=1)
    assert size.max() <= 0.04 + 1e-6
    assert np.median(size) == pytest.approx(0.04 / np.sqrt(2), rel=0.1)  # area grows as r^2
    assert np.linalg.norm(ball.outline - middle, ord=p, axis=1) == pytest.approx(0.04, rel=1e-5)
    assert ball.outline[0] == pytest.approx(ball.outline[-1])
    corner = np.abs(ball.outline - middle).sum(1).max()  # L-inf's corners are met
    assert corner == pytest.approx(0.04 * {"linf": 2, "l2": np.sqrt(2), "l1": 1}[norm], rel=1e-5)


def test_who_is_right_is_what_the_models_say(flat):
    sample = most_apart(flat)
    ball = inspector.around(flat, sample, 0.1, "l2", 0.3, 3, 1)
    x, y = torch.tensor(ball.points), int(flat.case.forget[1][sample])

    def right(model):
        return (model(x).argmax(1) == y).numpy()

    assert np.array_equal(ball.by_model, right(flat.path[0.3, 3]))
    assert np.array_equal(ball.by_reference, right(flat.case.references[1]))
    assert ball.path == pytest.approx([right(flat.path[0.3, n]).mean() for n in flat.steps])
    assert ball.references == pytest.approx([right(r).mean() for r in flat.case.references])
    assert ball.original == pytest.approx(right(flat.case.original).mean())
    assert ball.gd == pytest.approx(right(flat.gd_net).mean())
    assert ball.share == ball.path[1]
    assert 0 < ball.by_model.mean() + ball.by_reference.mean() < 2  # something to tell apart


def test_the_same_points_move_outward(flat):
    """Fails if each radius has a stream of its own, or all samples share one."""
    middle = flat.case.forget[0].numpy()
    near, far, other = (
        inspector.around(flat, k, tau, "l2", 0.3, 8, 0).points - middle[k]
        for k, tau in ((0, 0.02), (0, 0.04), (2, 0.02))
    )
    assert far == pytest.approx(2 * near, abs=1e-6)
    assert not np.allclose(other, near, atol=1e-4)


def test_points_stay_where_inputs_can_be(flat):
    points = inspector.around(flat, 0, 0.9, "linf", 0.3, 8, 0).points
    assert points.min() == 0
    assert points.max() == 1


@pytest.mark.parametrize(
    ("hits", "standing"), [(10, "above"), (8, "inside"), (5, "inside"), (4, "below")]
)
def test_standing_against_the_references(hits, standing):
    by = np.arange(10) < hits
    ball = inspector.Ball(by, by, by, by, np.ones(1), np.array([0.5, 0.8]), 1.0, 1.0)
    assert ball.share == hits / 10
    assert ball.standing == standing


def test_shares_are_those_of_the_balls_and_a_ratio_of_them_is_residual_knowledge(flat):
    """The table's ratio is what the measurement finds with other draws of the same law."""
    table = inspector.shares(flat, 0.1, "l2", 0.3, 8)
    assert table["sample"].tolist() == list(range(7))
    ball = inspector.around(flat, 4, 0.1, "l2", 0.3, 8, 0)
    row = table.iloc[4]
    assert (row["Original"], row["GD"], row["RURK"]) == (ball.original, ball.gd, ball.share)
    assert row["Re-train (mean)"] == ball.references.mean()
    assert (row["Re-train (least)"], row["Re-train (most)"]) == (
        ball.references.min(), ball.references.max(),
    )  # fmt: skip
    measured = rurklib.residual_knowledge(
        flat.case.original, flat.case.references, *flat.case.forget, taus=[0.1],
        perturbation="uniform-l2", draws=300,
    )  # fmt: skip
    ratio = table["Original"].mean() / table["Re-train (mean)"].mean()
    assert ratio == pytest.approx(measured.frame.ratio_of_means.iloc[0], abs=0.02)


def test_models_are_left_as_found(flat, left_as_found, same_random_state):
    net = flat.case.original
    with left_as_found(net), same_random_state():
        inspector.around(flat, 0, 0.1, "l1", 0.3, 8, 0)
        inspector.flat_view.view(flat, inspector.State(lam=0.3, steps=8))


def test_an_unknown_norm_is_told(flat):
    with pytest.raises(InputError, match="norm"):
        inspector.around(flat, 0, 0.1, "l3", 0.3, 8, 0)


def most_apart(flat) -> int:
    table = inspector.shares(flat, 0.1, "l2", 0.3, 3)
    return int((table["Original"] - table["Re-train (mean)"]).abs().argmax())


# --- the view -----------------------------------------------------------------------------------


def test_a_view_is_looked_up(flat):
    state = inspector.State(sample=5, tau=0.07, norm="linf", lam=0.3, steps=3, reference=2)
    shown = inspector.flat_view.view(flat, state)
    ball = inspector.around(flat, 5, 0.07, "linf", 0.3, 3, 2)
    original, reference, gd, rurk = shown.drawn["regions"]
    assert original is flat.original
    assert gd is flat.gd
    assert np.array_equal(reference, flat.references[2])
    assert np.array_equal(rurk, flat.rurk[1, 1])
    assert np.array_equal(shown.drawn["by_reference"], ball.by_reference)
    assert shown.drawn["step"] == 1
    assert shown.drawn["levels"] == {"Original": ball.original, "GD": ball.gd}
    apart = 100 * (flat.rurk[1, 1] != flat.references[2]).mean()
    assert f"disagree on {apart:.1f} % of the plane" in shown.said
    assert f"3 steps) {100 * ball.share:.0f} %" in shown.said
    assert f"RURK is {ball.standing} their range" in shown.said
    assert "forget sample 6 (" in shown.said


@pytest.mark.parametrize(
    ("name", "value"),
    [("sample", 7), ("sample", -1), ("lam", 0.1), ("steps", 4), ("reference", 3), ("norm", "l3")],
)
def test_a_state_without_an_answer_is_refused(flat, name, value):
    state = inspector.State(**{"lam": 0.3, "steps": 8, name: value})
    with pytest.raises(InputError, match=name):
        inspector.flat_view.view(flat, state)
