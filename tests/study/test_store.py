"""The store: what is kept comes back, a damaged file never does, and keys change when inputs do."""

import ast
import contextlib
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rurklib.study import store
from rurklib.study.models import key_of, load_models
from rurklib.study.run import SAME_PRIOR, SMOOTHED, open_run

BOOK = {"cells": [{"source": "1 + 1"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
KEPT = {
    "weights.safetensors": store.Checkpoint(
        {"a": torch.randn(3, 2), "n": torch.tensor(3)}, {"seed": 1, "seconds": 0.5}
    ),
    "counts.npz": {"hits": np.arange(6).reshape(2, 3), "on Re-train-seed0": np.ones(2, bool)},
    "trial.json": {"retain": [1.0, 2.5], "name": "x"},
    "book.ipynb": BOOK,
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
quickly = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quickly
@given(array=arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_side=0)))
def test_arrays_come_back(array, tmp_path):
    store.save(tmp_path / "a.npz", {"some name": array}, "k")
    value, key = store.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(value["some name"], array)
    assert (value["some name"].dtype, key) == (array.dtype, "k")


@quickly
@given(value=st.dictionaries(st.text().filter(lambda k: k not in ("key", "checksum")), PLAIN))
def test_plain_data_come_back(value, tmp_path):
    finite = {k: v for k, v in value.items() if "inf" not in repr(v)}
    store.save(tmp_path / "a.json", finite, "k")
    assert store.read(tmp_path / "a.json") == (finite, "k")


def test_weights_and_their_record_come_back(tmp_path):
    model = KEPT["weights.safetensors"]
    store.save(tmp_path / "a.safetensors", model, "k")
    found = store.find(tmp_path / "a.safetensors", "k")
    assert all(torch.equal(found.weights[name], model.weights[name]) for name in model.weights)
    assert found.record == model.record


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("harm", ["cut", "emptied", "a bit flipped"])
def test_a_damaged_file_is_made_again_and_a_line_says_so(name, harm, tmp_path, capsys):
    """Fails if a changed value is ever returned, or a file is made again in silence."""
    path, made = tmp_path / name, []

    def value() -> str:
        found = store.make(path, "trial", {}, lambda: made.append(1) or KEPT[name])
        return store.checksum(found["cells"] if name == "book.ipynb" else found)

    first = value()
    assert (value(), made, capsys.readouterr().out) == (first, [1], "")
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), len(whole) // 12) if harm == "a bit flipped" else [0]:
        turned, before = bytearray(whole), len(made)
        turned[bit // 8] ^= 1 << bit % 8
        path.write_bytes({"cut": whole[: len(whole) // 2], "emptied": b""}.get(harm, turned))
        assert value() == first
        # A bit of what pads a zip or stands outside the cells of a notebook changes nothing.
        assert len(capsys.readouterr().out.splitlines()) == len(made) - before
    assert len(made) > 1


def test_a_file_of_another_key_is_made_again_and_a_line_says_so(tmp_path, capsys):
    path = tmp_path / "a.json"
    found = [store.make(path, "trial", {"seed": s}, lambda s=s: {"a": s}) for s in (1, 2, 2)]
    assert found == [{"a": 1}, {"a": 2}, {"a": 2}]
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_a_failed_or_killed_writer_leaves(tmp_path):
    path = tmp_path / "a.json"
    store.save(path, {"a": 1}, "k")
    with contextlib.suppress(RuntimeError), store.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    (tmp_path / f".a.{store.PARTIAL}.x.json").write_text("half")  # as SIGKILL leaves it
    store.tidy(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert store.read(path) == ({"a": 1}, "k")


@quickly
@given(one=PLAIN, other=PLAIN)
def test_a_key_changes_when_an_input_does(one, other):
    same = repr(one) == repr(other)
    keys = [store.key("trial", {"a": value}) for value in (one, other)]
    assert (keys[0] == keys[1]) >= same
    if one != other:
        assert keys[0] != keys[1]
    assert store.key("trial", {"b": one}) != keys[0] != store.key("counts", {"a": one})


def test_a_key_changes_with_the_statements_of_rooms(tmp_path, monkeypatch):
    """Fails if a docstring, a comment or the text of an error makes anybody train again, or if a
    changed condition doesn't, or if code counts for what does not depend on it."""
    shutil.copytree(store.PACKAGE, tmp_path / "rurklib", ignore=shutil.ignore_patterns("study"))
    monkeypatch.setattr(store, "PACKAGE", tmp_path / "rurklib")
    path = tmp_path / "rurklib" / "unlearn" / "rurk.py"
    text = path.read_text()

    def keys(more: str) -> list[str]:
        path.write_text(text + more)
        store.code_of.cache_clear()
        return [store.key(kind, {}) for kind in ("model", "counts", "notebook")]

    before = keys("\ndef f(x):\n    if x: raise ValueError('a')\n")
    said = keys('\ndef f(x):\n    """What it does."""  # why\n    if x: raise ValueError("b")\n')
    changed = keys("\ndef f(x):\n    if not x: raise ValueError('a')\n")
    store.code_of.cache_clear()
    assert before == said
    assert [a == b for a, b in zip(before, changed, strict=True)] == [False, True, False]


def test_a_syntax_tree_reads_the_same_under_every_python():
    """Fails with ``ast.dump``, by which 3.10, 3.12 and 3.13 have three keys for one source."""
    text = "def f(x: int = 0, *, y=None) -> str:\n    return f'{x!r:>3} {y}'"
    assert store._statements(ast.parse(text)) == (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x',annotation=Name(id="
        "'int',ctx=Load()))],kwonlyargs=[arg(arg='y')],kw_defaults=[Constant()],defaults=[Constant("
        "value=0)]),body=[Return(value=JoinedStr(values=[FormattedValue(value=Name(id='x',ctx="
        "Load()),conversion=114,format_spec=JoinedStr(values=[Constant(value='>3')])),Constant("
        "value=' '),FormattedValue(value=Name(id='y',ctx=Load()),conversion=-1)]))],"
        "returns=Name(id='str',ctx=Load()))])"
    )


# --- models that come with the package ------------------------------------------------------------


def all_names(run):
    return [*run.trained, *run.unlearned, *run.names(SMOOTHED), *run.names(SAME_PRIOR)]


def test_the_models_in_the_package_are_todays(tmp_path):
    """Fails, on purpose, whenever a statement changes that training or unlearning depends on:
    whoever clones would wait for models that could have been there."""
    run = open_run("digits", tmp_path / "digits")
    names = all_names(run)
    stale = [n for n in names if store.find_shipped(key_of(run, n, here=False)) is None]
    assert not stale, f"{len(stale)} of {len(names)} models; make them anew: make showcase"
    assert len(list(store.TRAINED.glob("*.safetensors"))) == len(names)


def test_another_pytorch_takes_them_under_its_own_key(tmp_path, monkeypatch):
    run = open_run("digits", tmp_path / "a", seeds=[0])
    key = key_of(run, run.trained[0])
    monkeypatch.setattr(store.torch, "__version__", "9.9.0")
    net = load_models(run, run.trained[:1])[run.trained[0]]
    found, its = store.read(run.checkpoint(run.trained[0]))
    assert its == key_of(run, run.trained[0]) != key
    assert store.checksum(net.state_dict()) == store.checksum(found.weights)
    assert "made_on" in found.record
