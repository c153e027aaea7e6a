"""What a metric may ask for."""

import pytest

from rurklib.checks import InputError
from rurklib.metrics import registry


@pytest.mark.parametrize("reading", [None, lambda model, test, half=2: 1])
def test_a_metric_needs_what_its_parameters_name(reading, monkeypatch):
    """Fails if options are asked for too, or a comparison is given what its reading needs."""
    registered = {}
    monkeypatch.setattr(registry, "METRICS", registered)

    @registry.metric(reading, a=("A", 1), b=("", 2))
    def made(model, forget, digits=3):
        return 1.0, 2.0

    its = registered["made"]
    assert its.function is made
    assert its.needs == (("model", "test") if reading else ("model", "forget"))
    assert its.of(made(0, 0)) == {"a": 1.0, "b": 2.0}


def test_what_nobody_gives_is_refused_with_what_there_is():
    with pytest.raises(InputError, match=r"'retian'.*did you mean 'retain'"):
        registry.metric(a=("A", 1))(lambda model, retian: 0)
