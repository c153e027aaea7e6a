"""A sweep: which cells a grid is, what is executed and written, and random kills."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from rurklib.study import books, sweep
from rurklib.study.sweep import from_file, from_options, plan

PARAMETERS = """\
tau: float = 0.03  # radius
seed: int = 0  # decides x
name: str = "plain"  # a word
layers: list = [1, 2]  # a list
bound: float = None  # or a number
out = ""  # folder for the rows
jobs: int = 1  # changes nothing
pause: float | None = 0.0  # seconds
harm: str = ""  # code to be executed; b=c"""
WORK = """\
import random, time
from pathlib import Path

exec(harm)
time.sleep(pause)
x = random.Random(seed).random() * (1 + tau)
rows = f"x,kind,code\\n{x:.8g},{name},007\\n{2 * x:.8g},{len(layers)},{bound}\\n"
Path(out, "figures").mkdir()
Path(out, "figures", "a.png").write_bytes(b"png")
Path(out, "rows.csv").write_text(rows)"""
RAISE = "harm='','raise ValueError(\"<b>on purpose</b>\")'"
KILL = "import os, signal; os.kill(os.get{}(), signal.SIGKILL)"


@pytest.fixture
def notebook(tmp_path):
    """``notebook(work)``: the path of a notebook that takes no time beside its kernel's start."""

    def make(work: str = WORK) -> Path:
        tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        book = new_notebook(cells=[new_markdown_cell("# Tiny"), tagged, new_code_cell(work)])
        nbformat.write(book, tmp_path / "tiny.ipynb")
        return tmp_path / "tiny.ipynb"

    return make


@pytest.fixture
def no_kernel(monkeypatch) -> list[dict]:
    """Cells are executed in this process; a list of what each was given."""
    given: list[dict] = []

    def execute(book: books.Notebook, target: Path, parameters: dict) -> None:
        given.append(dict(parameters))
        target.write_text(book.text)
        names: dict = {}
        for part in book.cells[1:]:
            exec(part, names)
            names |= parameters if part == PARAMETERS else {}

    monkeypatch.setattr(books, "execute", execute)
    return given


def cells(book, *words):
    return plan(book, from_options(words), Path("none")).cells


def swept(book, out, *words, **options):
    return sweep.run(plan(book, from_options(words), out), **options)


def table(out: Path, name: str = "results") -> pd.DataFrame:
    return pd.read_csv(out / f"{name}.csv", dtype=str, keep_default_na=False)


# --- which cells ----------------------------------------------------------------------------------


def test_cells_are_all_combinations_in_order_with_the_other_defaults(notebook):
    groups = sweep.with_seeds(from_options(["tau=0.5,0", "name='1',b c"]), "1..2")
    made = [c.parameters for c in plan(notebook(), groups, Path("none")).cells]
    assert [(p["tau"], p["name"], p["seed"]) for p in made] == [
        (tau, name, seed) for tau in (0.5, 0.0) for name in ("1", "b c") for seed in (1, 2)
    ]
    assert {type(p["tau"]) for p in made} == {float}  # 0 is the float it is for
    assert (made[0]["layers"], made[0]["bound"], "out" in made[0]) == ([1, 2], None, False)
    more = cells(notebook(), "layers=[3],[4, 5]", "bound=null,1e-3", "pause=null")
    found = [[c.parameters[name] for name in ("layers", "bound", "pause")] for c in more]
    assert found == [[layers, b, None] for layers in ([3], [4, 5]) for b in (None, 0.001)]


ROWS = [
    {"recognised_only": True},
    {"v": 2},
    {"v": 4},
    {"lambda_a": 0.0},
    {"lambda_f": 0.0},
    *({"perturbation": p, "target": "random"} for p in ("fgsm", "pgd")),
    *({"perturbation": p, "target": None} for p in ("fgsm", "pgd")),
    *({"perturbation": f"{p}-untargeted", "target": None} for p in ("fgsm", "pgd")),
    *({"batchnorm": b, "clip": c} for b in ("train", "frozen") for c in (1.0, 1e9)),
]


@pytest.mark.parametrize("name", ["ablations", "ablations_cifar5"])
def test_the_grids_of_this_repository_have_the_papers_rows_and_ours(name):
    """Fails if a row that a page promises is swept on one data set alone, on fewer seeds than
    three, or with something else changed beside."""
    groups = from_file(books.folder() / f"{name}.yaml")
    made = plan(books.folder() / "06_ablations.ipynb", groups, Path("none")).cells
    choices = {k for row in ROWS for k in row} | {"tau", "lam", "model", "forget_share"}
    for row in ROWS:
        wanted = {**dict.fromkeys(choices), **row}
        wanted.pop("v" if "recognised_only" in row else "", None)  # there, more than one
        seeds = {c.parameters["seed"] for c in made if wanted.items() <= c.parameters.items()}
        assert seeds == {0, 1, 2}, row


def test_a_cell_of_two_groups_is_executed_once_and_has_rows_in_both(tmp_path, notebook, no_kernel):
    (tmp_path / "g.yaml").write_text(
        "a: {tau: [0, 0.03], seed: 0..1}\nb: {layers: [[1, 2], [3]], fixed: {name: plain}}\n"
    )
    sweep.run(plan(notebook(), from_file(tmp_path / "g.yaml"), tmp_path / "s"))
    frame = table(tmp_path / "s")[::2]  # two rows of each cell
    assert list(frame)[:6] == ["group", "cell", "tau", "seed", "name", "layers"]
    taus = frame.groupby("group").tau.apply(list).to_dict()
    assert taus == {"a": ["0.0", "0.0", "0.03", "0.03"], "b": ["0.03", "0.03"]}
    assert frame.cell.nunique() == len(no_kernel) == 5  # the default of all is in both


def test_a_cell_is_known_by_its_parameters_and_statements(notebook):
    book = notebook()
    (one,) = (c.key for c in cells(book, "tau=0.5"))
    assert [c.key for c in cells(book, "tau=0.5", "name=plain")] == [one]  # the default
    assert [c.key for c in cells(book, "tau=0.5", "jobs=3")] == [one]
    assert len({one, *(c.key for c in cells(book, "tau=0.6,0.5", "seed=1"))}) == 3
    text = book.read_text()
    for old, new, is_same in (
        ("# Tiny", "# A better title", True),
        ("# seconds", "# how long it waits", True),
        ("(1 + tau)", "(2 + tau)", False),
        ("= 0.0", "= 0.1", False),
    ):
        book.write_text(text.replace(old, new))
        assert (cells(book, "tau=0.5")[0].key == one) == is_same


# --- what is executed and written -----------------------------------------------------------------


def test_results_are_all_rows_in_the_order_of_the_grid(tmp_path, notebook, no_kernel):
    swept(notebook(), out := tmp_path / "s", "tau=0.5,0", "layers=[1],[1,2]")
    frame = table(out)
    assert list(frame) == ["group", "cell", "tau", "layers", "x", "kind", "code"]
    assert frame.tau.tolist() == ["0.5"] * 4 + ["0.0"] * 4
    assert frame.layers.tolist() == ["[1]", "[1]", "[1, 2]", "[1, 2]"] * 2
    assert frame.code.tolist() == ["007", "None"] * 4  # text stays as it was written
    assert frame.x.astype(float)[0] == pytest.approx(1.5 * float(frame.x[4]), rel=1e-6)
    assert (no_kernel[0]["tau"], no_kernel[0]["layers"]) == (0.5, [1])
    page, key = (out / "index.html").read_text(), frame.cell[0]
    assert page.count("<img") == 4
    for link in ("out/figures/a.png", "tiny.ipynb"):
        assert f'href="cells/{key}/{link}"' in page
        assert (out / "cells" / key / link).exists()


def test_only_what_is_missing_or_damaged_is_executed(tmp_path, notebook, no_kernel, capsys):
    book, out = notebook(), tmp_path / "s"
    swept(book, out, "tau=0,0.1")
    (out / "cells" / ".half").mkdir()
    before = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*")}
    swept(book, out, "tau=0,0.1,0.2")
    assert [g["tau"] for g in no_kernel] == [0.0, 0.1, 0.2]
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    assert not list(out.glob("cells/.*"))
    lost, changed, copied = sorted(out.glob("cells/*/cell.json"))
    copied.write_bytes(changed.read_bytes())
    changed.write_bytes(changed.read_bytes().replace(b",007", b",107"))
    lost.unlink()
    swept(book, out, "tau=0,0.1,0.2")
    assert capsys.readouterr().out.count("it is made again") == 2
    assert len(no_kernel) == 6
    swept(book, tmp_path / "other", "tau=0,0.1,0.2")
    assert (tmp_path / "other/results.csv").read_bytes() == (out / "results.csv").read_bytes()
    swept(book, out, "tau=0.1")
    assert set(table(out).tau) == {"0.1"}
    assert len(no_kernel) == 9


def test_a_failing_cell_stops_no_other_and_is_tried_again(
    tmp_path, notebook, no_kernel, monkeypatch
):
    book = notebook("import os\nassert 'WELL' in os.environ or not harm\n" + WORK)
    words = (RAISE, "tau=0,0.1")
    records = swept(book, out := tmp_path / "s", *words)
    assert [r["status"] for r in records] == ["done", "done", "failed", "failed"]
    assert len(table(out)) == 4
    assert table(out, "cells").error.tolist() == ["", "", "AssertionError", "AssertionError"]
    monkeypatch.setenv("WELL", "1")
    assert swept(book, out, *words)[2]["message"] == "<b>on purpose</b>"
    page, key = (out / "index.html").read_text(), table(out, "cells").cell[2]
    assert page.index("<td>&lt;b&gt;on purpose&lt;/b&gt;</td>") < page.index("<td>done</td>")
    assert f'href="failed/{key}/tiny.ipynb"' in page
    assert (out / "failed" / key / "tiny.ipynb").exists()
    assert len(no_kernel) == 6


def test_of_two_attempts_at_once_the_first_to_end_is_kept(
    tmp_path, notebook, no_kernel, monkeypatch
):
    """A worker that a scheduler has lost works on, while another has its cell."""
    out, plain = tmp_path / "s", books.execute
    made = plan(notebook(), {"a": {"tau": [0]}}, out)
    (out / "cells").mkdir(parents=True)
    work, path = (out, made.book, [], made.cells[0]), out / "cells" / made.cells[0].key
    first = []

    def slow(*given):
        monkeypatch.setattr(books, "execute", plain)
        sweep.execute(*work)
        first.append((path / "cell.json").stat())
        plain(*given)

    monkeypatch.setattr(books, "execute", slow)
    assert sweep.execute(*work)["status"] == "done"
    assert first == [(path / "cell.json").stat()]
    assert list((out / "cells").iterdir()) == [path]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 kB, and a function that gives it room."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(tmp_path / "disk")]
    (tmp_path / "disk").mkdir()
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    more = [*mount[:1], "-o", "remount,size=9m", mount[-1]]
    yield tmp_path / "disk", lambda: subprocess.run(more, check=True)
    subprocess.run(["umount", mount[-1]], check=True)


def test_a_disk_that_is_full_loses_nothing(notebook, no_kernel, small_disk, rurk):
    disk, give_room = small_disk
    filled = "[Path(out, f'{i}').write_bytes(bytes(4096)) for i in range(50)]"
    words = ["sweep", notebook(f"{WORK}\n{filled}"), "--grid", "tau=0,0.1,0.2,0.3"]
    result = rurk(*words, "--out", disk / "s")
    assert result.exit_code != 0
    assert "No space left on device" in result.output
    assert 1 <= len(done := list(disk.glob("s/cells/[!.]*/cell.json"))) <= 2
    give_room()
    before = len(no_kernel)
    result = rurk(*words, "--out", disk / "s")
    assert result.exit_code == 0, result.output
    assert len(no_kernel) - before == 4 - len(done)
    assert len(table(disk / "s")) == 8


# --- kernels, Dask, kills -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_bytes_with_a_job_two_jobs_and_on_dask(tmp_path, notebook, rurk):
    """Other cells go on when a notebook raises, a kernel is killed and a Dask worker is killed."""
    import dask
    from distributed import LocalCluster

    harm = json.dumps(["1 / 0", KILL.format("pid"), "", "seed = 1"])[1:-1]
    words = ["sweep", notebook(), "--grid", f"harm={harm}"]
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, LocalCluster(1, threads_per_worker=2, dashboard_address=":0") as cluster:
        ways = [["--jobs", 1], ["--jobs", 2], ["--scheduler", cluster.scheduler_address]]
        for number, way in enumerate(ways):
            result = rurk(*words, *way, "--out", out := tmp_path / str(number))
            assert result.exit_code == 1, result.output
            assert "2 of 4 cells are not done" in result.output
            frame = table(out, "cells")
            assert frame.error.tolist() == ["ZeroDivisionError", "DeadKernelError", "", ""]
            assert not list(out.glob("cells/.*"))
            assert (out / "results.csv").read_bytes() == (tmp_path / "0/results.csv").read_bytes()
        killer = plan(notebook(), {"a": {"harm": [KILL.format("ppid")]}}, tmp_path / "killed")
        (killed,) = sweep.run(killer, scheduler=cluster.scheduler_address)
    assert killed["error"] == "KilledWorker"
    assert len(table(tmp_path / "0")) == 4
    assert "4 cells, 2 finished, 2 to execute" in rurk(*words, "--out", out, "--dry-run").output


CHAOS = ["tau=0,0.1,0.2,0.3", "seed=0,1", "pause=0.3"]
CELLS, FEWEST = 8, 4  # of disturbances, which end when nothing is left to disturb


def drive_it(book: Path, out: Path) -> None:
    records = swept(book, out, *CHAOS, jobs=2)
    sys.exit(any(r["status"] != "done" for r in records))


def begin(book: Path, out: Path) -> multiprocessing.Process:
    """A driver in a process of its own, forked from one that has imported everything already: half
    of the test's time otherwise."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["papermill", "rurklib.study.sweep"])
    driver = server.Process(target=drive_it, args=(book, out), daemon=True)
    driver.start()
    return driver


def kernels(driver: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(driver).children(recursive=True)
    return []


def finished(out: Path) -> dict[str, tuple[int, float]]:
    """Every finished cell, and which file says so: a cell that is executed again has another."""
    paths = list(out.glob("cells/[!.]*/cell.json"))
    assert all(json.loads(path.read_text())["status"] == "done" for path in paths)
    return {p.parent.name: (p.stat().st_ino, p.stat().st_mtime) for p in paths}


@pytest.mark.slow
def test_kills_change_nothing(tmp_path, notebook, no_kernel):
    book, out, calm = notebook(), tmp_path / "chaos", tmp_path / "calm"
    dice, before, harmed = random.Random(0), {}, 0
    processes: set[psutil.Process] = set()
    driver = begin(book, out)
    kinds = ["driver", "driver", "interrupt", "interrupt", "kernel", "kernel", "kernel"]
    for kind in dice.sample(kinds, len(kinds)):
        victim: int | None = None
        while victim is None and len(finished(out)) < CELLS:
            if not driver.is_alive():
                driver = begin(book, out)
            if kernels(driver.pid):
                time.sleep(dice.uniform(0, 0.8))
                there = [p.pid for p in kernels(driver.pid)]
                there = there if kind == "kernel" else [driver.pid]
                victim = dice.choice(there) if there and driver.is_alive() else None
            time.sleep(0.02)
        if victim is None:
            break
        processes |= {psutil.Process(driver.pid), *kernels(driver.pid)}
        with suppress(ProcessLookupError):  # its cell was done, and it went by itself
            os.kill(victim, signal.SIGINT if kind == "interrupt" else signal.SIGKILL)
            harmed += 1
        if kind == "interrupt":
            driver.join(10)
            assert not driver.is_alive(), "it waits for its cells"
        now = finished(out)
        assert before.items() <= now.items(), "a finished cell was lost or repeated"
        before = now
    assert harmed >= FEWEST, "all was done before: little was shown"
    driver.join(60)
    driver = begin(book, out)  # cells that lost their kernel are tried again
    driver.join(60)
    assert driver.exitcode == 0
    assert before.items() <= finished(out).items()
    swept(book, calm, *CHAOS)
    assert len(no_kernel) == CELLS
    assert (out / "results.csv").read_bytes() == (calm / "results.csv").read_bytes()
    assert len((out / "results.csv").read_text().splitlines()) == 1 + CELLS * 2
    assert not [*out.glob("cells/.*"), *out.glob("failed/*")]
    assert not psutil.wait_procs(processes, timeout=5)[1], "left behind"
