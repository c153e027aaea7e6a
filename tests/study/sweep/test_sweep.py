"""A sweep: which cells a grid is, what is executed, what is written; most of it without kernels."""

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from nbclient.exceptions import DeadKernelError

from rurklib.study import books
from rurklib.study.books import read
from rurklib.study.scenario import read_seeds
from rurklib.study.sweep import grid, run
from rurklib.study.sweep.grid import from_file, from_options
from rurklib.study.sweep.run import plan

WORK_OF = "from pathlib import Path\nPath(out, 'rows.csv').write_text(f'x,tau\\n1,{tau}\\n')"
HALF = "harm='','raise ValueError(\"<b>on purpose</b>\")'"
KILL = "import os, signal; os.kill(os.get{}(), signal.SIGKILL)"


def made(book, *words, seeds=None):
    groups = from_options(words)
    return grid.cells(read(book), grid.with_seeds(groups, seeds) if seeds else groups)


def values(cells, *names):
    return [tuple(c.parameters[n] for n in names) for c in cells]


def swept(book, out, *words, **options):
    return run.run(plan(book, from_options(words), out), **options)


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)


# --- which cells ----------------------------------------------------------------------------------


def test_cells_are_all_combinations_in_order_with_the_other_defaults(notebook):
    cells = made(notebook(), "tau=0.5,0", "name=a,b", seeds="1..2")
    assert values(cells, "tau", "name", "seed") == [
        (tau, name, seed) for tau in (0.5, 0.0) for name in "ab" for seed in (1, 2)
    ]
    assert {c.groups for c in cells} == {("grid",)}
    assert {type(c.parameters["tau"]) for c in cells} == {float}  # 0 is the float it is for
    assert cells[0].parameters["layers"] == [1, 2]
    assert cells[0].parameters["bound"] is None
    assert "out" not in cells[0].parameters


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
    book = books.folder() / "06_ablations.ipynb"
    cells = grid.cells(read(book), from_file(books.folder() / f"{name}.yaml"))
    choices = {k for row in ROWS for k in row} | {"tau", "lam", "model", "forget_share"}
    for row in ROWS:
        wanted = {**dict.fromkeys(choices), **row}
        wanted.pop("v" if "recognised_only" in row else "", None)  # there, more than one
        seeds = {c.parameters["seed"] for c in cells if wanted.items() <= c.parameters.items()}
        assert seeds == {0, 1, 2}, row


@pytest.mark.parametrize(
    ("text", "numbers"), [("0..4", [0, 1, 2, 3, 4]), ("3..3", [3]), ("7,5", [7, 5]), ("9", [9])]
)
def test_seeds(text, numbers):
    assert read_seeds(text) == numbers
    assert grid.from_options([f"seed={text}"]) == {"grid": {"seed": numbers}}


@pytest.mark.parametrize(
    ("word", "parameter", "value"),
    [
        ("layers=[3],[4, 5]", "layers", [[3], [4, 5]]),
        ("layers=[3]", "layers", [[3]]),
        ("name='1'", "name", ["1"]),
        ("name=a b, c", "name", ["a b", "c"]),
        ("bound=None,2,1e-3", "bound", [None, 2.0, 0.001]),
    ],
)
def test_values_on_the_command_line(notebook, word, parameter, value):
    assert [c.parameters[parameter] for c in made(notebook(), word)] == value


def test_groups_share_a_cell_that_both_name(tmp_path, notebook):
    path = tmp_path / "groups.yaml"
    path.write_text("""
radius:
  tau: [0, 0.03, 1.0e-3]
  seed: 0..1
size:
  layers: [[1, 2], [3]]
  fixed: {name: plain}
""")
    groups = from_file(path)
    book = read(notebook())
    cells = grid.cells(book, groups)
    shown = [(c.parameters["tau"], c.parameters["seed"], c.groups) for c in cells]
    assert shown == [
        (0.0, 0, ("radius",)),
        (0.0, 1, ("radius",)),
        (0.03, 0, ("radius", "size")),  # the default of all
        (0.03, 1, ("radius",)),
        (0.001, 0, ("radius",)),
        (0.001, 1, ("radius",)),
        (0.03, 0, ("size",)),
    ]
    columns = plan(book.path, groups, tmp_path / "s").columns
    assert columns == ("tau", "seed", "name", "layers")
    seeded = grid.cells(book, grid.with_seeds(groups, "5"))
    assert [c.parameters["seed"] for c in seeded] == [0, 1, 0, 1, 0, 1, 5, 5]


def keys(book, *words):
    return [cell.key for cell in plan(book, from_options(words), Path("none")).cells]


def test_a_cell_is_known_by_its_parameters_and_statements(notebook):
    book = notebook()
    (one,) = keys(book, "tau=0.5")
    assert keys(book, "tau=0.5,0.6")[0] == one
    assert keys(book, "tau=0.5", "name=plain") == [one]  # the default, said aloud
    assert len({one, *keys(book, "tau=0.6"), *keys(book, "tau=0.5", "seed=1")}) == 3
    text = book.read_text()
    for same in (("# Tiny", "# A better title"), ("# seconds", "# how long it waits")):
        book.write_text(text.replace(*same))
        assert keys(book, "tau=0.5") == [one]
    for other in (("(1 + tau)", "(2 + tau)"), ("pause: float = 0.0", "pause: float = 0.1")):
        book.write_text(text.replace(*other))
        assert keys(book, "tau=0.5") != [one]


def test_the_number_of_jobs_makes_no_other_cell(notebook):
    book = notebook("print(tau, jobs, out)", "tau = 0.1\njobs = 1\nout = ''")
    assert keys(book, "jobs=3", "tau=0.2") == keys(book, "tau=0.2")


# --- what is executed and written -----------------------------------------------------------------


def test_results_are_all_rows_in_the_order_of_the_grid(tmp_path, notebook, no_kernel, capsys):
    records = swept(notebook(), tmp_path / "s", "tau=0.5,0", "layers=[1],[1,2]")
    assert [r["status"] for r in records] == ["done"] * 4
    frame = table(tmp_path / "s")
    assert list(frame) == ["group", "cell", "tau", "layers", "x", "kind", "code"]
    assert frame.tau.tolist() == ["0.5"] * 4 + ["0.0"] * 4
    assert frame.layers.tolist() == ["[1]", "[1]", "[1, 2]", "[1, 2]"] * 2
    assert frame.code.tolist() == ["007", "None"] * 4  # text stays as it was written
    assert frame.cell.tolist() == [r["key"] for r in records for _ in range(2)]
    x = frame.x.astype(float)
    assert x[0] == pytest.approx(1.5 * x[4], rel=1e-6)
    assert "4/4" in capsys.readouterr().err
    assert no_kernel[0]["tau"] == 0.5
    assert no_kernel[0]["layers"] == [1]


def test_figures_are_shown_with_their_alt_texts_and_links(tmp_path, notebook, no_kernel):
    work = """
from pathlib import Path
(Path(out) / "figures").mkdir()
for name in ("a", "b"):
    (Path(out) / "figures" / f"{name}.png").write_bytes(b"png")
(Path(out) / "figures" / "a.json").write_text('{"alt": "a <line>"}')
"""
    records = swept(notebook(work + WORK_OF), tmp_path / "s", "tau=0,0.5")
    page = (tmp_path / "s" / "index.html").read_text()
    assert page.count("<img") == 4
    assert page.count('alt="a &lt;line&gt;"') == 2
    assert 'alt="b of tau 0.5"' in page
    assert f'<a href="cells/{records[1]["key"]}/out/figures/b.png"><img' in page
    assert (tmp_path / "s" / "cells" / records[1]["key"] / "out" / "figures" / "b.png").exists()


def test_only_what_is_missing_is_executed(tmp_path, notebook, no_kernel):
    book, out = notebook(), tmp_path / "s"
    swept(book, out, "tau=0,0.1")
    before = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*")}
    swept(book, out, "tau=0,0.1,0.2")
    assert [g["tau"] for g in no_kernel] == [0.0, 0.1, 0.2]
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    whole = (out / "results.csv").read_bytes()
    swept(book, tmp_path / "other", "tau=0,0.1,0.2")
    assert (tmp_path / "other" / "results.csv").read_bytes() == whole
    swept(book, out, "tau=0.1")
    assert len(no_kernel) == 6
    assert set(table(out).tau) == {"0.1"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "out" / "rows.csv").unlink(),
        lambda folder: (folder / "cell.json").unlink(),
        lambda folder: (folder / "cell.json").write_text('{"status": "done"'),
    ],
)
def test_a_damaged_cell_is_executed_again(tmp_path, notebook, no_kernel, harm):
    book, out = notebook(), tmp_path / "s"
    swept(book, out, "tau=0,0.1")
    whole = (out / "results.csv").read_bytes()
    harm(sorted(out.glob("cells/*"))[0])
    planned = plan(book, from_options(["tau=0,0.1"]), out)
    assert sorted(r["status"] for r in run.states(planned)) == ["done", "missing"]
    swept(book, out, "tau=0,0.1")
    assert len(no_kernel) == 3
    assert (out / "results.csv").read_bytes() == whole


def test_what_was_half_written_is_swept_away_and_not_taken(tmp_path, notebook, no_kernel):
    book, out = notebook(), tmp_path / "s"
    (key,) = [c.key for c in plan(book, from_options(["tau=0"]), out).cells]
    swept(book, out, "tau=0.1")
    partial = out / "cells" / f".{key}.partial.abc"
    (partial / "out").mkdir(parents=True)
    (partial / "out" / "rows.csv").write_text("x\n")
    swept(book, out, "tau=0")
    assert len(no_kernel) == 2
    assert not partial.exists()
    assert len(table(out)) == 2


def test_a_failing_cell_stops_no_other_and_is_tried_again(tmp_path, notebook, no_kernel, capsys):
    book, out = notebook(), tmp_path / "s"
    records = swept(book, out, HALF, "tau=0,0.1")
    assert [r["status"] for r in records] == ["done", "done", "failed", "failed"]
    assert records[2]["message"] == "<b>on purpose</b>"
    assert capsys.readouterr().err.count("ValueError: <b>on purpose</b>") == 2
    assert len(table(out)) == 4
    cells = pd.read_csv(out / "cells.csv")
    assert cells.status.tolist() == ["done", "done", "failed", "failed"]
    assert cells.message.tolist()[2:] == ["<b>on purpose</b>"] * 2
    assert (cells.seconds[:2] >= 0).all()
    key = records[3]["key"]
    assert (out / "failed" / key / "tiny.ipynb").exists()
    page = (out / "index.html").read_text()
    assert "2 of 4 cells done, 2 failed" in page
    assert page.index("&lt;b&gt;on purpose&lt;/b&gt;") < page.index("All cells")
    assert "<b>on purpose" not in page
    assert f'href="failed/{key}/tiny.ipynb"' in page
    assert f'href="cells/{records[0]["key"]}/tiny.ipynb"' in page
    swept(book, out, HALF, "tau=0,0.1")
    assert len(no_kernel) == 6


def test_a_cell_that_succeeds_at_last_is_no_failure_any_more(
    tmp_path, notebook, no_kernel, monkeypatch
):
    book, out = notebook("import os\nassert os.environ['WELL']\n" + WORK_OF), tmp_path / "s"
    monkeypatch.setenv("WELL", "")
    assert swept(book, out, "tau=0")[0]["status"] == "failed"
    monkeypatch.setenv("WELL", "1")
    assert swept(book, out, "tau=0")[0]["status"] == "done"
    assert not list(out.glob("failed/*"))
    assert "Failed" not in (out / "index.html").read_text()


def test_rows_of_a_cell_in_two_groups_stand_in_both(tmp_path, notebook, no_kernel):
    groups = {"a": {"tau": [0, 0.03]}, "b": {"seed": [0, 1]}}
    run.run(plan(notebook(), groups, tmp_path / "s"))
    frame = table(tmp_path / "s")
    assert len(no_kernel) == 3
    assert frame.groupby("group", sort=False).seed.apply(list).to_dict() == {
        "a": ["0"] * 4,
        "b": ["0", "0", "1", "1"],
    }
    assert frame[frame.group == "b"].tau.tolist() == ["0.03"] * 4
    assert frame[frame.duplicated("cell", keep=False) & (frame.tau == "0.03")].cell.nunique() == 2


@pytest.fixture
def job(tmp_path):
    """``job(book)``: what a worker is given for the one cell of a sweep in ``tmp_path / "s"``."""

    def make(book):
        made = plan(book, from_options(["tau=0"]), tmp_path / "s")
        (tmp_path / "s" / "cells").mkdir(parents=True, exist_ok=True)
        return made.cells[0], made.out, made.book

    return make


def test_a_finished_cell_is_never_executed_again(job, notebook, no_kernel):
    """A worker is killed after the cell is in place and before it says so."""
    given = job(notebook())
    first = run.execute(*given)
    assert run.execute(*given) == first
    assert len(no_kernel) == 1


@pytest.mark.parametrize(
    "death", [DeadKernelError("Kernel died"), RuntimeError("Kernel died before replying")]
)
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_cell_whose_kernel_dies_is_tried_once_more(
    job, notebook, no_kernel, monkeypatch, death, deaths
):
    plain, left = books.execute, [death] * deaths

    def die(*arguments, **options):
        if left:
            raise left.pop()
        plain(*arguments, **options)

    monkeypatch.setattr(books, "execute", die)
    record = run.execute(*job(notebook()))
    assert record.get("error") == (None if deaths == 1 else "KernelDied")
    assert len(no_kernel) == 2 - deaths
    assert not left


@pytest.mark.parametrize("swept", [False, True])
def test_two_attempts_at_once_keep_the_first_to_end(
    job, tmp_path, notebook, no_kernel, monkeypatch, swept
):
    """Also if another sweep has removed the second's folder meanwhile, and its notebook goes on
    writing into a new one of the same name, where half is missing."""
    given = job(notebook())
    plain = books.execute
    first = []

    def slow(book, target, parameters):
        monkeypatch.setattr(books, "execute", plain)
        first.append(run._attempt(*given))
        if swept:
            shutil.rmtree(target.parent)
            (target.parent / "out").mkdir(parents=True)
        plain(book, target, parameters)

    monkeypatch.setattr(books, "execute", slow)
    assert run._attempt(*given) == first[0]
    assert run._record(tmp_path / "s" / "cells" / given[0].key) == first[0]
    assert [p.name for p in (tmp_path / "s" / "cells").iterdir()] == [given[0].key]


# --- kernels, Dask, a full disk -------------------------------------------------------------------


@pytest.mark.slow
def test_the_others_go_on_when_a_notebook_raises_and_a_kernel_is_killed(tmp_path, notebook, rurk):
    out = tmp_path / "s"
    harm = ["1 / 0", KILL.format("pid"), "", "seed = 1"]
    words = [
        "sweep",
        notebook(),
        "--grid",
        f"harm={json.dumps(harm)[1:-1]}",
        "--jobs",
        2,
        "--out",
        out,
    ]
    result = rurk(*words)
    assert result.exit_code == 1, result.output
    cells = pd.read_csv(out / "cells.csv", keep_default_na=False)
    assert cells.error.tolist() == ["ZeroDivisionError", "KernelDied", "", ""]
    assert cells.status.tolist() == ["failed", "failed", "done", "done"]
    assert (cells.seconds.astype(float) > 0.2).all()
    assert len(pd.read_csv(out / "results.csv")) == 4
    page = (out / "index.html").read_text()
    assert page.index("division by zero") < page.index("All cells")
    assert "2 of 4 cells are not done" in result.output
    assert not list(out.glob("cells/.*"))
    executed = next(out.glob("cells/*/tiny.ipynb")).read_text()
    assert "input_path" not in executed
    shown = rurk(*words, "--dry-run")
    assert shown.exit_code == 0
    assert "4 cells, 2 finished, 2 to execute" in shown.output


@pytest.mark.slow
def test_dask_gives_the_same_bytes_and_tells_of_a_killed_worker(tmp_path, notebook, no_kernel):
    """A worker of two threads, each with a kernel; in this process, none is started."""
    import dask
    from distributed import LocalCluster

    book = notebook()
    groups = {"a": {"tau": [0.1], "seed": [0, 1]}, "b": {"seed": [1], "tau": [0.1]}}
    planned = plan(book, groups, tmp_path / "dask")
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, LocalCluster(1, threads_per_worker=2, dashboard_address=":0") as cluster:
        records = run.run(planned, scheduler=cluster.scheduler_address)
        assert {r["status"] for r in records} == {"done"}
        harm = plan(book, {"a": {"harm": [KILL.format("ppid")]}}, tmp_path / "harm")
        (killed,) = run.run(harm, scheduler=cluster.scheduler_address)
    assert killed["error"] == "KilledWorker"
    run.run(planned)
    assert not no_kernel, "what Dask has done is done"
    run.run(plan(book, groups, tmp_path / "here"), jobs=2)
    both = [(tmp_path / place / "results.csv").read_bytes() for place in ("dask", "here")]
    assert both[0] == both[1]
    assert len(pd.read_csv(tmp_path / "dask" / "results.csv")) == 6


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 kB, and a function that gives it room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,size=9m", str(place)], check=True)
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [4, 100])
def test_a_disk_that_is_full_loses_nothing(notebook, no_kernel, small_disk, rurk, size):
    """In files of 4 kB or at once, so that it is full to the last byte, or with a little room."""
    disk, give_room = small_disk
    work = f"""
from pathlib import Path
for i in range({200 // size}):
    Path(out, f'{{i}}.bin').write_bytes(b'x' * 1024 * {size})
Path(out, 'rows.csv').write_text(f'x\\n{{tau}}\\n')
"""
    words = ["sweep", notebook(work), "--grid", "tau=0,0.1,0.2,0.3", "--out", disk / "s"]
    result = rurk(*words)
    assert result.exit_code != 0
    assert "No space left on device" in result.output
    done = [p.parent.name for p in disk.glob("s/cells/[!.]*/cell.json")]
    assert 1 <= len(done) <= 2
    give_room()
    before = len(no_kernel)
    result = rurk(*words)
    assert result.exit_code == 0, result.output
    assert len(no_kernel) - before == 4 - len(done)
    assert pd.read_csv(disk / "s" / "results.csv").x.tolist() == [0, 0.1, 0.2, 0.3]
    assert not list(Path(disk).glob("s/cells/.*"))
