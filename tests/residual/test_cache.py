"""References' counts on disk: found again when nothing that matters has changed, and only then."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import residual_knowledge
from rurklib.residual import cache as cache_module
from rurklib.residual.cache import identity
from rurklib.study import files


@pytest.fixture
def counted(monkeypatch):
    """Names of the models that count_hits is asked to count, call by call."""
    calls: list[list[str]] = []
    right = cache_module.count_hits

    def watched(models, *rest, **options):
        calls.append(list(models))
        return right(models, *rest, **options)

    monkeypatch.setattr(cache_module, "count_hits", watched)
    return calls


OPTIONS = {"taus": (0.0, 0.1, 0.3), "draws": 4}


@pytest.mark.parametrize("law", ["gaussian", "uniform-l1", "fgsm", "pgd"])
@pytest.mark.parametrize("searched", [None, "r1"])
def test_the_frame_is_the_same_with_and_without(law, searched, cnn, images, tmp_path):
    """Fresh, kept, and read again. Fails if references are read back in another order, or margins
    and the share moved are lost."""
    (x, y), models = images(6), {"m": cnn(1), "o": cnn(2)}
    references = {"r1": cnn(3), "r2": cnn(4), "r3": cnn(5)}
    options = {**OPTIONS, "perturbation": law, "found_on": searched}
    plain = residual_knowledge(models, references, x, y, **options)
    for _ in range(2):
        kept = residual_knowledge(models, references, x, y, cache=tmp_path, **options)
        assert kept.frame.equals(plain.frame)
        for name, counts in plain.counts.items():
            again = kept.counts[name]
            assert again.models == counts.models
            assert again.found_on == counts.found_on
            assert again.margins == pytest.approx(counts.margins, abs=1e-5)
            assert np.array_equal(again.moved, counts.moved)
            assert again.not_accelerated == counts.not_accelerated
    assert list(tmp_path.glob("*.npz"))


def test_references_are_counted_once(cnn, images, tmp_path, counted):
    """A second method, a third reference: only what is new is counted."""
    (x, y), r = images(6), {"a": cnn(3), "b": cnn(4)}

    def measure(model, references=r, **options):
        counted.clear()
        residual_knowledge(model, references, x, y, cache=tmp_path, **{**OPTIONS, **options})
        return counted

    assert measure(cnn(1)) == [["model", "a", "b"]]
    assert measure(cnn(2)) == [["model"]]
    assert measure(cnn(2), {"c": cnn(5), **r}) == [["model", "c"]]
    assert measure(cnn(2), {"else": r["a"], "b": r["b"]}) == [["model"]]  # names don't matter
    for changed in ({"seed": 1}, {"draws": 5}, {"taus": (0.0, 0.1)}, {"bounds": (0.0, 2.0)}):
        assert measure(cnn(2), **changed) == [["model", "a", "b"]], changed
    assert measure(cnn(2), perturbation="uniform-l2") == [["model", "a", "b"]]
    y[0] = (y[0] + 1) % 3
    assert measure(cnn(2)) == [["model", "a", "b"]]
    x[0, 0, 0, 0] += 0.001
    assert measure(cnn(2)) == [["model", "a", "b"]]


def test_a_search_hangs_on_the_model_that_it_was_made_on(cnn, images, tmp_path, counted):
    (x, y), r = images(6), {"a": cnn(3), "b": cnn(4)}
    options = {**OPTIONS, "perturbation": "fgsm", "cache": tmp_path}
    residual_knowledge(cnn(1), r, x, y, found_on=cnn(7), **options)
    for other, expected in ((7, ["model"]), (8, ["model", "a", "b"])):
        counted.clear()
        residual_knowledge(cnn(1), r, x, y, found_on=cnn(other), **options)
        assert counted == [expected]
    # each on copies found on itself: the references' own are kept, those for a model are not
    before = set(tmp_path.iterdir())
    residual_knowledge(cnn(1), r, x, y, **options)
    assert len(set(tmp_path.iterdir()) - before) == 4  # found on a and on b, shown to a and b
    counted.clear()
    residual_knowledge(cnn(2), r, x, y, **options)
    assert len(set(tmp_path.iterdir()) - before) == 4
    assert counted == [["model", "a", "b"]]


def test_a_damaged_file_is_made_again(cnn, images, tmp_path, counted):
    (x, y), m, r = images(6), cnn(1), {"a": cnn(3)}
    first = residual_knowledge(m, r, x, y, cache=tmp_path, **OPTIONS).frame
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    counted.clear()
    assert residual_knowledge(m, r, x, y, cache=tmp_path, **OPTIONS).frame.equals(first)
    assert counted == [["model", "a"]]
    assert file.read_bytes() != whole[:-40]
    arrays, fingerprint = files.load_arrays(file)
    files.save_arrays(file, {**arrays, "hits": arrays["hits"] * 0}, fingerprint[::-1])  # another's
    assert residual_knowledge(m, r, x, y, cache=tmp_path, **OPTIONS).frame.equals(first)


def test_identity_is_weights_layers_and_code(cnn):
    """Same weights in another net (a stride) are another model."""
    net = cnn()
    assert identity(net) == identity(copy.deepcopy(net))
    other = copy.deepcopy(net)
    other[5].weight.data[0, 0] += 1e-6
    assert identity(other) != identity(net)
    strided = copy.deepcopy(net)
    strided[0].stride = (2, 2)
    assert identity(strided) != identity(net)

    class Negative(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -super().forward(x)

    class Sequential(nn.Sequential):
        pass

    Sequential.__name__ = Negative.__name__
    a, b = Negative(*net), Sequential(*net)
    assert str(a) == str(b)
    assert identity(a) != identity(b)
