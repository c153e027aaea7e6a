"""A folder too large for memory: decoded in groups, studied from disk, with memory that stays."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rurklib import study
from rurklib.study import files
from rurklib.study.run import open_run
from rurklib.study.sources import rows
from rurklib.study.sources.image_folder import image_folder
from rurklib.study.sources.rows import Rows
from rurklib.study.stages.summary import summarise


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two classes, 32 images to train on and 20 to test on; an empty cache."""
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for side, n in (("train", 16), ("test", 10)):
        for c in range(2):
            (tmp_path / "pets" / side / f"c{c}").mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(100 * c, 100 * c + 156, (12, 12, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / side / f"c{c}" / f"{k:02d}.png")
    return tmp_path / "pets"


def finished(folder, out):
    """A tiny study, whole; its tables and weights."""
    settings = {
        "path": str(folder),
        "image_size": 12,
        "epochs": 1,
        "references": 2,
        "draws": 4,
        "taus": [0.0, 0.1],
        "methods": ["GD", "RURK"],
        "GD.epochs": 1,
        "RURK.epochs": 1,
    }
    run = open_run("imagefolder", out, seeds=[0], settings=settings)
    models = study.train(run) | study.unlearn(run)
    digests = {n: files.weights_digest(m.state_dict()) for n, m in models.items()}
    table = summarise(run).drop(columns=["seconds", "share_of_retrain"]).to_csv()
    curves = study.by_method(study.residual(run, "gaussian", controls=True)).to_csv()
    return run, digests, table, curves


def test_a_whole_study_on_disk(folder, tmp_path, monkeypatch):
    """Train, unlearn, summary and residual knowledge: the same weights and tables bit by bit as
    with tensors, and a control with noise trains."""
    plain, *want = finished(folder, tmp_path / "a")
    assert isinstance(plain.data.train[0], torch.Tensor)
    monkeypatch.setattr(rows, "IN_MEMORY", 0)
    disk, *got = finished(folder, tmp_path / "b")
    assert isinstance(disk.data.train[0], Rows)
    assert isinstance(disk.pair("retain")[0], Rows)
    assert got == want
    assert disk.split == plain.split
    assert study.smoothed(disk)
    assert len(pickle.dumps(replace(disk))) < 20_000
    assert plain.split == replace(disk, folder=plain.folder).split  # the certificate fits both


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is forked to be killed")
def test_what_a_killed_process_left_is_not_taken_for_done(folder, tmp_path, monkeypatch):
    """Killed while the images are decoded, by a signal that can't be caught. Fails if half a file
    is read, or stays for good: it may be gigabytes."""
    module = sys.modules["rurklib.study.sources.image_folder"]
    monkeypatch.setattr(module, "GROUP", 4)
    real, seen, parent = module._decoded, [], os.getpid()

    def decoded(*a):
        seen.append(a)
        if os.getpid() != parent and len(seen) > 14:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*a)

    monkeypatch.setattr(module, "_decoded", decoded)
    if (child := os.fork()) == 0:
        try:
            image_folder(folder, 8)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    images = tmp_path / "cache" / "images"
    assert not list(images.rglob("images.npy"))
    assert list(images.rglob(".*partial*"))
    data = image_folder(folder, 8)
    assert len(seen) == 32 + 20
    assert not list(images.rglob(".*partial*"))
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "other"))
    assert image_folder(folder, 8).digest == data.digest


PEAK = """
import sys, torch
from pathlib import Path
from rurklib.data import Dataset, forget_part_of_a_class
from rurklib.study.sources import rows
from rurklib.train import fit

rows.IN_MEMORY = 0
pooled = torch.nn.AdaptiveAvgPool2d(1)
model = torch.nn.Sequential(pooled, torch.nn.Flatten(), torch.nn.Linear(3, 2))
for file in sys.argv[1:]:
    x = rows.Rows(file)
    y, test = torch.arange(len(x)) % 2, x.take(slice(20))
    data = Dataset("made up", (x, y), (test, y[:20]), ("a", "b"), "random")
    split = forget_part_of_a_class(data, forget_class=0, forget_share=0.01)
    fit(model, *split.pair(data, "retain"), seed=0, epochs=1, lr=0.01)
    print(next(w.split()[1] for w in open("/proc/self/status") if w.startswith("VmHWM")))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_folder(tmp_path):
    """Files of 9 and of 90 MB: opened, hashed, split and trained on for an epoch. Fails if
    samples are held, or pages stay mapped."""
    files = []
    for n in (300, 3_000):
        files.append(str(tmp_path / f"{n}.npy"))
        x = np.lib.format.open_memmap(files[-1], "w+", np.uint8, (n, 3, 100, 100))
        x.reshape(n, -1)[:, 15_000:15_008] = np.arange(n).view(np.uint8).reshape(n, 8)
    command = [sys.executable, "-c", PEAK, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    small, large = (int(kilobytes) / 1024 for kilobytes in done.stdout.split())
    assert large - small < 30
