"""The notebooks that teach, executed in miniature: what they show to be equal is equal; each
exercise's check refuses the stub and a typical mistake, and lets the solution pass. Exercises of
the other notebooks stand alone and are executed without the rest.
"""

import ast
import re
import textwrap
from pathlib import Path

import nbformat
import pytest

from rurklib import study
from rurklib.study import books
from rurklib.study.run import open_run

BOOKS = [path.stem for path in sorted(books.folder().glob("0[0-4]_*.ipynb"))]
ALONE = {
    path.stem: path
    for path in sorted(books.folder().glob("*.ipynb"))
    if path.stem not in BOOKS and "<summary>A solution" in path.read_text(encoding="utf-8")
}
SMALL = {"training.epochs": 4, "references": 3, "draws": 5, "taus": [0.0, 0.2],
         "methods": ["GD", "RURK"], "GD.epochs": 2, "RURK.epochs": 2}  # fmt: skip
GIVEN = {"seeds": [0], "settings": SMALL, "searched_draws": 1}

# What students get wrong, by the function that is to be written: a body of it.
MISTAKES = {
    "residual": """
noisy = x[forget] + tau * torch.randn(n, *x[forget].shape)  # always the same size
right = [(m(noisy).argmax(-1) == y[forget]).float().mean() for m in [model, *retrained]]
return (right[0] / (sum(right[1:]) / 8)).item()""",
    "as_high": "return sum(other >= value for other in others) / len(others)  # without itself",
    "step": """
velocity = momentum * velocity + gradient
return w - lr * velocity - weight_decay * w, velocity  # the decay beside the rate""",
    "chance": "return math.sqrt(p * (1 - p) * (1 / n + 1 / m))  # a share, no percentage",
    "neggrad": """
low, high = (F.cross_entropy(model(x), y) for x, y in (kept, gone))
return low + beta * high  # learns it once more""",
    "clipped": "return [p * min(1.0, most / float(p.norm())) for p in pieces]  # each on its own",
    "towards": "return (x + size * slope(net, x, y)).clamp(low, high)  # the wrong way",
    "relabelled": """
both, n = np.concatenate([forgotten, strangers]), len(forgotten)
true = forgotten.mean() - strangers.mean()
drawn = [rng.permutation(both) for _ in range(times)]
apart = np.array([d[:n].mean() - d[n:].mean() for d in drawn])
return (1 + (apart >= true - 1e-9).sum()) / (times + 1)  # to one side""",
    "mean_of_ratios": "return own.mean() / others.mean()  # the ratio of means",
    "left_for_memory": "return forgotten[0] / forgotten[1:].mean()  # the class's share is in it",
    "so_far": "return own.cumsum() / np.maximum(others.mean(0).cumsum(), 1e-9)  # without hits",
    "first_change": "return taus[np.argmax(says != says[0])]  # 0 where it never changes",
    "left": "return [w for w in words if rng.random() < rate]  # what should go stays",
    "share_lead": "return math.log(kept / (kept + forgotten))  # the wrong way round",
    "gap": "return abs((own.mean(0) - retrained.mean(0)).mean())  # numbers that cancel",
    "unbeaten": """
off = abs(ratio - 1)  # better in both, where one is enough
return ~((off < off[:, None]) & (accuracy > accuracy[:, None])).any(1)""",
    "prediction": """
half = stats.t.ppf((1 + confidence) / 2, len(references) - 1) * references.std(ddof=1)
return references.mean() - half, references.mean() + half  # of the mean's own error""",
    "calibrated_auc": """
a = (forgotten - others_forgotten.mean(axis=0))[:, None]
return (a > held_out - others_held_out.mean(axis=0)).mean()  # ties for nothing""",
}


def exercises(book: nbformat.NotebookNode) -> dict[int, str]:
    """Where the cells are that a folded solution follows, and what it holds: first the function."""
    folded = r"<details><summary>A solution(.*?)</details>"
    after = {n: re.search(folded, c.source, re.S) for n, c in enumerate(book.cells)}
    code = {n: re.findall(r"```python\n(.*?)```", f[1], re.S) for n, f in after.items() if f}
    return {n - 1: "\n\n\n".join(blocks) for n, blocks in code.items()}


def check(source: str, solution: str, room: dict) -> None:
    """The check of a cell, executed in ``room``, refuses the stub and the mistake by name; the
    solution is right."""
    body = ast.parse(source).body
    stub = next(node for node in body if isinstance(node, ast.FunctionDef))
    head, ask = f"def {stub.name}({ast.unparse(stub.args)}):\n", ast.unparse(body[-1])
    assert eval(ask, room) == f"{stub.name} returns nothing yet"
    exec(head + textwrap.indent(MISTAKES[stub.name], "    "), room)
    assert re.search(r"\d", eval(ask, room)), stub.name
    exec(solution.split("\n\n\n")[0], room)
    assert eval(ask, room) == "right"


@pytest.mark.parametrize("name", ALONE)
def test_exercises_that_stand_alone_tell_solutions_from_mistakes(name):
    """Each cell in an empty room: fails if it leans on the notebook, or if its check is fooled."""
    book = nbformat.read(ALONE[name], as_version=4)
    for number, solution in exercises(book).items():
        cell, room = book.cells[number], {}
        exec(cell.source, room)
        check(cell.source, solution, room)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run with its models, as the notebooks before each leave it."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    run = open_run("digits", out, seeds=[0], settings=SMALL)
    study.train(run)
    study.unlearn(run)
    study.measure(run)
    return run.folder


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOKS)
def test_what_is_shown_equal_is_and_checks_tell_solutions_from_mistakes(
    name, folder, monkeypatch, capsys
):
    monkeypatch.chdir(books.folder())
    book = nbformat.read(f"{name}.ipynb", as_version=4)
    room, known = {"display": lambda shown: None}, exercises(book)
    assert len(known) == 2
    for number, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        exec(cell.source, room)
        if "parameters" in cell.metadata.get("tags", []):
            room |= {"out": str(folder), **{k: v for k, v in GIVEN.items() if k in room}}
        if number in known:
            check(cell.source, known[number], room)
            exec("\n".join(known[number].split("\n\n\n")[1:]), room)
    shown_equal(name, capsys.readouterr().out)


def shown_equal(name: str, printed: str) -> None:
    """What the cells print of their own results beside the package's."""
    apart = re.findall(r"differ by at most (\S+)", printed)
    same = re.findall(r"the same: (\S+)", printed)
    pairs = re.findall(r"(\S+)(?: to (\S+))? here, (\S+)(?: to (\S+))? there", printed)
    counted = {"00": (0, 0, 0), "01": (1, 2, 0), "02": (3, 0, 4), "03": (2, 0, 2), "04": (0, 0, 1)}
    assert (len(apart), len(same), len(pairs)) == counted[name[:2]]
    assert set(apart) <= {"0.0"}
    assert set(same) <= {"True"}
    for *here, low, high in pairs:
        assert [float(h or 0) for h in here] == pytest.approx(
            [float(low), float(high or 0)], abs=2e-6
        )
