"""A whole sweep: what is executed, what is written at the end, what is refused; without kernels."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rurklib.checks import InputError
from rurklib.study.notebooks import notebook as books
from rurklib.study.sweep import cell, run
from rurklib.study.sweep.grid import from_options

HALF = "harm='','raise ValueError(\"<b>on purpose</b>\")'"


def swept(book, out, *words, **options):
    return run.run(run.plan(book, from_options(words), out), **options)


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)


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
    parquet = pd.read_parquet(tmp_path / "s" / "results.parquet")
    assert parquet.shape == frame.shape
    assert "4/4" in capsys.readouterr().err
    assert no_kernel[0]["tau"] == 0.5
    assert no_kernel[0]["layers"] == [1]


def test_the_notebook_is_given_an_empty_folder(tmp_path, notebook, no_kernel):
    """So that it can open a run there."""
    work = "import os; tau; assert not os.listdir(out)\n" + WORK_OF
    assert swept(notebook(work), tmp_path / "s", "tau=0")[0]["status"] == "done"


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
    (tmp_path / "s" / "cells" / records[1]["key"] / "out" / "figures" / "b.png").unlink()
    swept(notebook(work + WORK_OF), tmp_path / "s", "tau=0,0.5")
    assert len(no_kernel) == 3


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
        lambda folder: (folder / "out" / "rows.csv").write_text("x\n1\n"),
        lambda folder: (folder / "out" / "rows.csv").unlink(),
        lambda folder: (folder / "tiny.ipynb").write_text("{"),
        lambda folder: (folder / "cell.json").unlink(),
        lambda folder: (folder / "cell.json").write_text('{"status": "done"'),
        lambda folder: (folder / "cell.json").write_text('{"status": "done"}'),
    ],
)
def test_a_damaged_cell_is_executed_again(tmp_path, notebook, no_kernel, harm):
    book, out = notebook(), tmp_path / "s"
    swept(book, out, "tau=0,0.1")
    whole = (out / "results.csv").read_bytes()
    harm(sorted(out.glob("cells/*"))[0])
    plan = run.plan(book, from_options(["tau=0,0.1"]), out)
    assert sorted(r["status"] for r in run.states(plan)) == ["done", "missing"]
    swept(book, out, "tau=0,0.1")
    assert len(no_kernel) == 3
    assert (out / "results.csv").read_bytes() == whole


def test_what_was_half_written_is_swept_away_and_not_taken(tmp_path, notebook, no_kernel):
    book, out = notebook(), tmp_path / "s"
    (key,) = [c.key for c in run.plan(book, from_options(["tau=0"]), out).cells]
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


WORK_OF = "from pathlib import Path\nPath(out, 'rows.csv').write_text(f'x,tau\\n1,{tau}\\n')"


@pytest.mark.parametrize(
    ("work", "says"),
    [
        ("print(tau, out)", "wrote no rows.csv"),
        ("import os; open(out + '/rows.csv', 'w'); tau", "is no table"),
        ("open(out + '/rows.csv', 'w').write('x,tau\\n1,5\\n'); tau", "column 'tau', with other"),
        ("open(out + '/rows.csv', 'w').write('x,tau\\n1,a\\n'); tau", "column 'tau', with other"),
        ("open(out + '/rows.csv', 'w').write('cell\\n1\\n'); tau", "column 'cell', which"),
        ("open(out + '/rows.csv', 'w').write('group\\n1\\n'); tau", "column 'group', which"),
    ],
)
def test_rows_that_can_not_be_taken_are_a_failure(tmp_path, notebook, no_kernel, work, says):
    (record,) = swept(notebook(work), tmp_path / "s", "tau=0.1")
    assert record["status"] == "failed"
    assert says in record["message"]
    assert not list((tmp_path / "s").glob("cells/*"))


def test_a_column_that_repeats_the_parameter_is_one_column(tmp_path, notebook, no_kernel):
    swept(notebook(WORK_OF), tmp_path / "s", "tau=0.123456789")
    assert table(tmp_path / "s").values.tolist()[0][2:] == ["0.123456789", "1"]


def test_rows_of_a_cell_in_two_groups_stand_in_both(tmp_path, notebook, no_kernel):
    groups = {"a": {"tau": [0, 0.03]}, "b": {"seed": [0, 1]}}
    run.run(run.plan(notebook(), groups, tmp_path / "s"))
    frame = table(tmp_path / "s")
    assert len(no_kernel) == 3
    assert frame.groupby("group", sort=False).seed.apply(list).to_dict() == {
        "a": ["0"] * 4,
        "b": ["0", "0", "1", "1"],
    }
    assert frame[frame.group == "b"].tau.tolist() == ["0.03"] * 4
    assert frame[frame.duplicated("cell", keep=False) & (frame.tau == "0.03")].cell.nunique() == 2


# --- what is refused ----------------------------------------------------------------------------


def test_a_folder_in_use_is_refused(tmp_path, notebook, no_kernel):
    """From another process, whose lock ends with it."""
    script = (
        "import sys\nfrom filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n    print('held', flush=True)\n    input()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / ".s.lock")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="in use by another rurk"):
            swept(notebook(), tmp_path / "s", "tau=0")
        assert not (tmp_path / "s").exists()
        holder.kill()
    swept(notebook(), tmp_path / "s", "tau=0")
    swept(notebook(), tmp_path / "s", "tau=0")  # it was given back


def test_a_folder_of_something_else_is_left_alone(tmp_path, notebook, no_kernel):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not empty and not a sweep"):
        swept(notebook(), tmp_path / "s", "tau=0")
    swept(notebook(), tmp_path / "t", "tau=0")
    with pytest.raises(InputError, match=r"is a sweep of tiny.ipynb"):
        swept(notebook(at="other.ipynb"), tmp_path / "t", "tau=0")
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("place", ["folder", "rows", "move"])
def test_a_full_disk_is_said_plainly(tmp_path, notebook, no_kernel, monkeypatch, capsys, place):
    book, out = notebook(), tmp_path / "s"
    swept(book, out, "tau=0")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if place == "folder":
            plain = Path.mkdir
            patch.setattr(
                Path, "mkdir", lambda p, **k: full() if ".partial." in str(p) else plain(p, **k)
            )
        elif place == "rows":
            patch.setattr(books, "execute", full)
        else:
            patch.setattr(cell, "_keep", full)
        records = swept(book, out, "tau=0,0.1")
    assert [r["status"] for r in records] == ["done", "failed"]
    assert "the disk is full" in records[1]["message"]
    assert "the disk is full" in capsys.readouterr().err
    assert "the disk is full" in (out / "index.html").read_text()
    assert len(table(out)) == 2
    records = swept(book, out, "tau=0,0.1")
    assert [r["status"] for r in records] == ["done", "done"]


def test_kernels_are_given_the_number_of_threads(tmp_path, notebook, no_kernel, monkeypatch):
    for name in cell.THREADS:
        monkeypatch.setenv(name, "9")
    work = "import os; open(out + '/rows.csv', 'w').write('n,m\\n' + os.environ['OMP_NUM_THREADS']"
    work += " + ',' + os.environ['MKL_NUM_THREADS']); tau"
    run.run(run.plan(notebook(work), from_options(["tau=0"]), tmp_path / "s", threads=3))
    assert table(tmp_path / "s")[["n", "m"]].values.tolist() == [["3", "3"]]
