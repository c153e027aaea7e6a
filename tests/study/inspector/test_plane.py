"""The plane of two features: what is shown is what the package says when it is asked directly."""

import numpy as np
import pytest
import torch

import rurklib
from rurklib.checks import InputError
from rurklib.data.bundled import iris
from rurklib.models import build
from rurklib.study.inspector import plane as planes
from rurklib.train.fit import fit
from rurklib.train.spec import Recipe

STATE = {"sample": 4, "tau": 0.1, "norm": "l2", "lam": 0.3, "steps": 3, "reference": 1}


def weights(model):
    return torch.cat([p.flatten() for p in model.parameters()]).detach()


def test_a_case_is_a_request_and_models_trained_on_both_sides_of_it(same_random_state):
    """Fails if a reference sees a forget sample, Original misses one, or a seed isn't its own."""
    data, training = iris((0, 1)), Recipe(epochs=3, lr=0.3)
    with same_random_state():
        case = planes.forget_and_retrain(data, seed=4, forget=5, references=2, training=training)
    (x, y), (kept, lost) = data.train, planes.forget_few(data, 5, seed=4)
    assert torch.equal(case.forget[0], x[lost])
    assert torch.equal(case.retain[1], y[kept])
    own = fit(build("mlp", 2, 3, seed=4), x, y, training, seed=4)
    second = fit(build("mlp", 2, 3, seed=1001), x[kept], y[kept], training, seed=1001)
    assert torch.equal(weights(case.original), weights(own))
    assert torch.equal(weights(case.references[1]), weights(second))
    assert len(case.references) == 2


@pytest.mark.parametrize(("lam", "steps"), [(0.0, 8), (0.3, 3), (0.3, 8)])
def test_each_point_of_the_trajectory_is_a_run_of_its_own(plane, plane_settings, lam, steps):
    """Fails if a short run is cut from a long one (the schedule ends with the run), or the clean
    forget term of Algorithm 1 is in it."""
    case = plane.case
    direct = rurklib.unlearn(
        "RURK", case.original, case.retain, case.forget, seed=0, epochs=steps,
        lambda_f=0.0, lambda_a=lam, **plane_settings,
    )  # fmt: skip
    assert torch.equal(weights(plane.rurk[lam, steps]), weights(direct))


def test_no_steps_is_original_and_no_lambda_is_gd(plane):
    assert plane.rurk[0.3, 0] is plane.case.original
    assert torch.allclose(weights(plane.rurk[0.0, 8]), weights(plane.gd), atol=1e-6)


def test_a_step_is_one_whatever_the_retain_set(plane_settings):
    """300 retained samples are more than RURK's usual batch of 128."""
    x, y = torch.rand(303, 2), torch.arange(303) % 3
    net, retain, forget = build("mlp", 2, 3, seed=0), (x[3:], y[3:]), (x[:3], y[:3])
    case = planes.PlaneCase(iris((0, 1)), retain, forget, net, (net,), seed=0)
    made = planes.trajectory(case, [0.0], [1], **plane_settings)
    shared = {k: plane_settings[k] for k in ("lr", "momentum", "weight_decay")}
    whole = rurklib.unlearn("GD", net, retain, forget, epochs=1, batch_size=300, **shared)
    assert torch.allclose(weights(made[0.0, 1]), weights(whole), atol=1e-6)


def test_four_features_make_no_picture():
    case = planes.forget_and_retrain(
        iris(), seed=0, references=1, training=Recipe(epochs=1, lr=0.1)
    )
    with pytest.raises(InputError, match="two axes; choose two features"):
        planes.Plane(case, case.original, {})


def test_the_request_of_the_notebook_shows_what_it_says():
    """On seed 0, whose picture the notebook shows, Original is above the null band, GD too, and
    RURK takes the most away. Fails if the request, a scale or the training changes that."""
    case = planes.forget_and_retrain(iris((0, 1)), seed=0)
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
def test_points_fill_the_ball_and_the_outline_is_its_rim(plane, norm, p):
    shown = planes.view(plane, **STATE | {"sample": 1, "tau": 0.04, "norm": norm})
    middle = plane.case.forget[0][1].numpy()
    size = np.linalg.norm(shown.points - middle, ord=p, axis=1)
    assert size.max() <= 0.04 + 1e-6
    assert np.median(size) == pytest.approx(0.04 / np.sqrt(2), rel=0.1)  # area grows as r^2
    assert np.linalg.norm(shown.outline - middle, ord=p, axis=1) == pytest.approx(0.04, rel=1e-5)
    assert shown.outline[0] == pytest.approx(shown.outline[-1])
    corner = np.abs(shown.outline - middle).sum(1).max()  # L-inf's corners are met
    assert corner == pytest.approx(0.04 * {"linf": 2, "l2": np.sqrt(2), "l1": 1}[norm], rel=1e-5)


def test_the_same_points_move_outward(plane):
    """Fails if each radius has a stream of its own, or all samples share one."""
    middle = plane.case.forget[0].numpy()
    near, far, other = (
        plane.recognised(k, tau, "l2", 0.3)[0] - middle[k]
        for k, tau in ((0, 0.02), (0, 0.04), (2, 0.02))
    )
    assert far == pytest.approx(2 * near, abs=1e-6)
    assert not np.allclose(other, near, atol=1e-4)


def test_points_stay_where_inputs_can_be(plane):
    points, _ = plane.recognised(0, 0.9, "linf", 0.3)
    assert (points.min(), points.max()) == (0, 1)


def test_shares_are_those_of_the_balls_and_a_ratio_of_them_is_residual_knowledge(plane):
    """The table's ratio is what the measurement finds with other draws of the same perturbation."""
    table = planes.shares(plane, 0.1, "l2", 0.3, 3)
    assert table["sample"].tolist() == list(range(7))
    right = planes.view(plane, **STATE).right
    theirs, row = right["Re-train"].mean(-1), table.iloc[4]
    assert (row["Original"], row["GD"]) == (right["Original"].mean(), right["GD"].mean())
    assert row["RURK"] == right["RURK"][1].mean()
    assert tuple(row[[f"Re-train ({n})" for n in ("mean", "least", "most")]]) == (
        theirs.mean(), theirs.min(), theirs.max(),
    )  # fmt: skip
    measured = rurklib.residual_knowledge(
        plane.case.original, plane.case.references, *plane.case.forget, taus=[0.1],
        perturbation="uniform-l2", draws=300,
    )  # fmt: skip
    ratio = table["Original"].mean() / table["Re-train (mean)"].mean()
    assert ratio == pytest.approx(measured.frame.ratio_of_means.iloc[0], abs=0.02)


# --- the view -----------------------------------------------------------------------------------


def test_a_view_is_what_the_models_say(plane, left_as_found, same_random_state):
    """On the unit square ([up, across], the second feature upwards), on the forget samples and in
    the ball. Fails if axes, settings or models are mixed up."""
    table = planes.shares(plane, 0.1, "l2", 0.3, 3)
    sample = int((table["Original"] - table["Re-train (mean)"]).abs().argmax())
    (x, y), case = plane.case.forget, plane.case
    nets = {"Original": case.original, "Re-train": case.references[1], "GD": plane.gd}
    nets["RURK"] = plane.rurk[0.3, 3]
    with left_as_found(*nets.values()), same_random_state():
        shown = planes.view(plane, **STATE | {"sample": sample})
    axis = np.linspace(0, 1, planes.POINTS)
    grid = torch.tensor(np.stack(np.meshgrid(axis, axis), -1), dtype=torch.float32).view(-1, 2)
    for name, net in nets.items():
        assert np.array_equal(shown.regions[name].ravel(), net(grid).argmax(1).numpy()), name
        assert np.array_equal(shown.answers[name], net(x).argmax(1).numpy()), name
    assert len({r.tobytes() for r in shown.regions.values()}) == 4

    def right(*models):
        points = torch.tensor(shown.points)
        return np.stack([(m(points).argmax(1) == y[sample]).numpy() for m in models])

    assert np.array_equal(shown.right["RURK"], right(*(plane.rurk[0.3, n] for n in (0, 3, 8))))
    assert np.array_equal(shown.right["Re-train"], right(*case.references))
    assert np.array_equal(shown.right["Original"], right(case.original))
    assert np.array_equal(shown.right["GD"], right(plane.gd))
    assert 0 < shown.right["RURK"][1].mean() + shown.right["Re-train"].mean() < 2
    assert (shown.step, shown.species) == (1, case.data.classes[int(y[sample])])


@pytest.mark.parametrize(
    ("hits", "placement"), [(10, "above"), (8, "inside"), (5, "inside"), (4, "below")]
)
def test_placement_against_the_references(plane, monkeypatch, hits, placement):
    ten = np.arange(10)
    right = {"RURK": np.stack([ten < 0, ten < hits]), "Re-train": np.stack([ten < 5, ten < 8])}
    monkeypatch.setattr(planes.Plane, "recognised", lambda *_: (np.zeros((10, 2)), right))
    assert planes.view(plane, **STATE).placement == placement
