"""A run's folder: opened again as it was made, and never taken for another's."""

import shutil

import pytest

from rurklib import InputError
from rurklib.study import store
from rurklib.study.run import flat, open_existing, open_run


def contents(folder):
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_run_is_opened_from_its_folder_alone_and_nothing_is_written(small_run):
    before = contents(small_run)
    run = open_existing(small_run)
    assert run.seeds == (0,)
    assert list(run.scenario.methods) == ["GD", "RURK"]
    assert run.described == store.read(small_run / "run.json")[0]
    assert run.scenario.hyperparameters("RURK")["epochs"] == 2
    assert run.split.forget
    assert contents(small_run) == before


def test_a_damaged_record_or_split_is_written_again(small_run, tmp_path, capsys):
    folder = shutil.copytree(small_run, tmp_path / "r")
    run = open_existing(folder)
    before = contents(folder)
    for name in ("run.json", "split.json"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-40])
    open_run("digits", folder, seeds=[0], settings=flat(run.described["settings"]))
    assert len(capsys.readouterr().out.splitlines()) == 2
    after = contents(folder)
    assert {k for k in after if after[k] != before.get(k)} <= {str(folder / "env.json")}


def test_a_run_of_the_first_edition_is_refused(tmp_path):
    store.write_json(tmp_path / "r" / "run.json", {"format": 1, "kind": "study"})
    for fresh in (False, True):
        with pytest.raises(InputError, match="of the first edition"):
            open_run("digits", tmp_path / "r", fresh=fresh)
