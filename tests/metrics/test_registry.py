"""What a metric may ask for."""

import pytest

from rurklib.metrics import registry


@pytest.mark.parametrize("reading", [None, lambda model, test, half=2: 1])
def test_a_metric_needs_what_its_parameters_name(reading, monkeypatch):
    """Fails if options are asked for too, or a comparison is given what its reading needs."""
    registered = {}
    monkeypatch.setattr(registry, "METRICS", registered)

    @registry.metric(reading, a=("A", 1), b=("", 2))
    def made(model, forget, digits=3):
        return 1.0, 2.0

    assert registered["made"].needs == (("model", "test") if reading else ("model", "forget"))
    assert registered["made"].of(made(0, 0)) == {"a": 1.0, "b": 2.0}
