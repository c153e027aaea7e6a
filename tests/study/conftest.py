"""What tests of the study share: the command, an inspector of a small run, files brought along."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="session")
def rurk() -> Callable[..., SimpleNamespace]:
    """``rurk(*words, settings={})``: the command in this process, its output and exit code."""
    from rurklib.study.cli import main

    def run(*words, settings=()) -> SimpleNamespace:
        changes, code = [f"--set={name}={value}" for name, value in dict(settings).items()], 0
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
            try:
                main([*map(str, words), *changes])
            except SystemExit as end:
                code = end.code
        return SimpleNamespace(exit_code=code, output=out.getvalue())

    return run


@pytest.fixture(scope="session")
def refused(rurk):
    """``refused(says, *words)``: bad input; the line that tells it. The code is 2."""

    def ask(says, *words, **more):
        done = rurk(*words, **more)
        assert done.exit_code == 2, done.output
        assert says in done.output
        assert len(done.output.strip().splitlines()) == 1
        assert len(done.output) < 1000
        return done.output

    return ask


@pytest.fixture(scope="session")
def run(small_run):
    """``small_run``, opened; what a test makes in it stays."""
    from rurklib.study.run import open_existing

    return open_existing(small_run)


@pytest.fixture(scope="session")
def inspector(run):
    """The inspector of ``small_run``; what a test sets on it stays."""
    from rurklib.study.inspector import Inspector

    return Inspector(run)


CODE = """
from helper import WIDTH
from torch import nn

def build():
    return nn.Sequential(nn.Linear(24, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

def ends():
    raise SystemExit(0)

class Lost(nn.Sequential):
    def forward(self, x):
        raise KeyError("no")

def lost():
    return Lost(nn.Linear(24, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

def wide():
    return nn.Sequential(nn.Linear(24, 65), nn.ReLU(), nn.Linear(65, 3))
"""


@pytest.fixture(scope="session")
def audit_files(planted, tmp_path_factory) -> Path:
    """Models, data and code as a user has them."""
    at = tmp_path_factory.mktemp("mine")
    (at / "m.py").write_text(CODE)
    (at / "helper.py").write_text("WIDTH = 64\n")
    references = {f"a{i}": m for i, m in enumerate(planted.references)}
    own = {"original": planted.original, "retrained": planted.retrained}
    for name, model in {**own, **references}.items():
        save_file(model.state_dict(), at / f"{name}.safetensors")
    np.savez(at / "data.npz", x=planted.x.numpy(), y=planted.y.numpy())
    for name in ("forget", "kept", "held_out"):
        np.save(at / f"{name}.npy", getattr(planted, name).numpy())
    hx, hy = planted.pair("held_out")
    np.savez(at / "test.npz", x=hx.numpy(), y=hy.numpy()[:, None])
    damage(at)
    return at


def damage(at: Path) -> None:
    """Files that are wrong in one way each, beside the good ones."""
    weights = {k: v.clone() for k, v in load_file(at / "original.safetensors").items()}
    (at / "text.safetensors").write_text("hello")
    save_file({k: v for k, v in weights.items() if k != "2.bias"}, at / "lacks.safetensors")
    x, y = np.zeros((9, 24), np.float32), np.arange(9) % 3
    np.savez(at / "keys.npz", images=x, labels=y)
    np.savez(at / "short.npz", x=x, y=y[:5])
    np.savez(at / "whole.npz", x=x.astype(np.int64), y=y)
    np.savez(at / "grey.npz", x=255 * np.ones((700, 24), np.float32), y=np.arange(700) % 3)
    np.savez(at / "four.npz", x=np.zeros((700, 24), np.float32), y=np.arange(700) % 4)
    np.save(at / "beyond.npy", np.array([0, 700]))
    np.save(at / "twice.npy", np.array([1, 1, 2]))
    np.save(at / "real.npy", np.array([0.5]))
    np.save(at / "overlap.npy", np.array([44, 45]))
    np.save(at / "mask.npy", np.arange(700) % 2)
    (at / "table.csv").write_text("0,1\n")
    (at / "leaves.py").write_text("raise SystemExit(0)\n")
    (at / "broken.py").write_text("import nothing_like_it\n")


README = Path(__file__).parents[2] / "rurklib" / "README.md"


@pytest.fixture(scope="session")
def examples() -> dict[str, str]:
    """The worked examples of rurklib/README.md: folder and name of the file, and its text."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)
    return {"/".join(Path(name).parts[-2:]): text for name, text in blocks}


@pytest.fixture(scope="module")
def no_plugins():
    """Whatever plugins these tests load, the next find none."""
    from rurklib.study import extend
    from rurklib.unlearn.contract import SEARCH

    before = {kind: dict(extend.registry(kind)) for kind in extend.REGISTRIES}
    spaces = dict(SEARCH)

    def forget() -> None:
        SEARCH.update(spaces)
        for kind, there in before.items():
            extend.registry(kind).clear()
            extend.registry(kind).update(there)
        extend.LOADED.clear()
        extend.load([])

    yield forget
    forget()
