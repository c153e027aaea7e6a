"""How long an audit will take, said while it works."""

import itertools

from rurklib.study.cli.audit import every_few_seconds


def test_a_long_audit_says_what_is_left(capsys, monkeypatch):
    """Ten seconds a step. Fails if it is silent, counts the time left from the wrong end, or
    writes into the answer."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    tell = every_few_seconds(15)
    for part in (0.25, 0.5, 1.0):
        tell(part)
    told = "50% of the copies counted, about 20 s left\n100% of the copies counted\n"
    assert capsys.readouterr() == ("", told)
    every_few_seconds(100)(1.0)
    assert capsys.readouterr() == ("", "")
