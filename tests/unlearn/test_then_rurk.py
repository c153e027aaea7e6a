"""Another method, then RURK: what calling the two in a row gives, and whose values are whose."""

import pytest

from rurklib import InputError, unlearn
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import tuned
from rurklib.unlearn.contract import SEARCH, defaults
from rurklib.unlearn.then_rurk import FIRST

OWN = {
    "GD": {"lr": 0.1, "epochs": 3},
    "NGD": {"sigma": 0.2},
    "SCRUB": {"alpha": 0.5, "max_epochs": 1},
    "SSD": {"alpha": 0.5, "dampening": 0.3},
}
RURK = {"tau": 0.1, "lambda_f": 0.2, "lambda_a": 0.3, "lr": 0.2, "batch_size": 4}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("tell", [True, False])
def test_it_is_the_two_in_a_row(name, tell, task, same):
    """To the bit. Fails if RURK starts from Original, a value of one goes to the other, or the
    defaults of ``first`` aren't the first method's."""
    model, retain, forget = task
    own = OWN[name] if tell else {}
    start = unlearn(name, model, retain, forget, seed=3, **own)
    expected = unlearn("RURK", start, retain, forget, seed=3, **RURK)
    first = {"first": own} if tell else {}
    got = unlearn(f"{name}+RURK", model, retain, forget, seed=3, **first, **RURK)
    assert same(got, expected)
    assert not same(got, unlearn("RURK", model, retain, forget, seed=3, **RURK))
    assert not same(got, start)


@pytest.mark.parametrize("name", FIRST)
def test_a_rurk_that_does_nothing_leaves_the_first_alone(name, task, same):
    """With rate 0. Fails if the first method's work is thrown away or done twice."""
    model, retain, forget = task
    nothing = {"lambda_f": 0.0, "lambda_a": 0.0, "lr": 0.0}
    got = unlearn(f"{name}+RURK", model, retain, forget, first=OWN[name], **nothing)
    assert same(got, unlearn(name, model, retain, forget, **OWN[name]))


def test_bounds_reach_both(task):
    """Inputs outside [0, 1]. Fails if one of the two still refuses them."""
    model, (xr, yr), (xf, yf) = task
    wide = {"bounds": (0.0, 3.0)}
    unlearn("GD+RURK", model, (3 * xr, yr), (3 * xf, yf), **wide)
    with pytest.raises(InputError, match="retain x spans"):
        unlearn("GD+RURK", model, (3 * xr, yr), (3 * xf, yf))


@pytest.mark.parametrize(
    ("first", "named"),
    [({"tau": 0.1}, "hyper-parameter of GD.*'tau'"), ({"lr": -1.0}, "lr = -1.0"), (3, "first = 3")],
)
def test_values_of_the_first_are_checked_as_its_own(first, named, task, left_as_found):
    with left_as_found(task[0]), pytest.raises(InputError, match=named):
        unlearn("GD+RURK", *task, first=first)


def test_its_parameters_are_rurks_and_one_more():
    for name in FIRST:
        assert defaults(f"{name}+RURK") == {**defaults("RURK"), "first": None}
        assert SEARCH[f"{name}+RURK"] == SEARCH["RURK"]


@pytest.mark.parametrize("scenario", ["digits", "cifar5", "fashion"])
def test_scenarios_have_them_with_the_tuned_values_of_both(scenario):
    """Fails if a scenario's pair starts from defaults where the single methods were tuned."""
    methods = SCENARIOS[scenario].methods
    for name in FIRST:
        assert methods[f"{name}+RURK"] == {**methods["RURK"], "first": methods[name]}
        assert methods["RURK"]
    changed = SCENARIOS[scenario].changed({"GD+RURK.first": {"lr": 0.5}, "GD+RURK.tau": 0.3})
    assert changed.methods["GD+RURK"] == {**methods["RURK"], "tau": 0.3, "first": {"lr": 0.5}}
    assert changed.methods["RURK"] == methods["RURK"]
    assert tuned(scenario, "NegGrad+") == {"NegGrad+": dict(methods["NegGrad+"])}
