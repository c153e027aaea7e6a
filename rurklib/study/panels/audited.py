"""An audited model in the inspector: what ``rurk audit`` was given, read again from its folder."""

import hashlib
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from rurklib import checks
from rurklib.study import files
from rurklib.study.audit.audit import TAUS
from rurklib.study.audit.files import read_audit
from rurklib.study.inspector.view import Inspector
from rurklib.study.run_record import AUDIT

TABLE, LEAD = "samples.csv", "Audited"
PATHS = ("weights", "data", "forget", "held_out", "retain")


class AuditInspector(Inspector):
    """The model of an audit and its references, and the forget samples in the audit's order.

    The folder's audit.json names the files, which must be those of the audit; the model's code is
    run again. ``run`` stands for what an inspector asks of one: the audit's radii, draws, bounds.
    """

    def __init__(self, folder: Path) -> None:
        asked, given = record_of(folder)
        read = read_audit(**given)
        self.x, self.y = read["x"], read["y"]
        names = {f"Re-train {k}": net for k, net in enumerate(read["references"].values())}
        taus, bounds = asked["taus"] if any(asked["taus"]) else TAUS, asked["bounds"]
        classes = checks.logits(read["model"], self.x, self.y)
        self.classes, self.references = tuple(map(str, range(classes))), tuple(names)
        self.run: Any = SimpleNamespace(
            folder=folder,
            title=f"audit of {Path(given['weights']).name}; {len(self.x)} forget samples",
            scenario=SimpleNamespace(taus=tuple(taus), draws=asked["draws"], threads=1),
            data=SimpleNamespace(classes=self.classes, bounds=bounds and tuple(bounds)),
        )
        self.seed = self.stream = asked["seed"]
        self._table = pd.read_csv(folder / TABLE).sort_values("sample")
        self._prepare({LEAD: read["model"], **names})

    @cached_property
    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Shares of copies that are recognised, over the whole curve, as the audit counted them."""
        columns = self._table.accuracy, self._table.reference_accuracy
        own, others = (column.to_numpy() for column in columns)
        return own, others[None]


def record_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an audit asked, and the arguments of ``read_audit``. InputError if ``folder`` isn't one
    that ``rurk audit`` wrote, without references or of ONNX files, or if a file is another now."""
    if not (folder / AUDIT).exists() or not (folder / TABLE).exists():
        raise checks.InputError(f"{folder} is no audit: expected {AUDIT} and {TABLE} in it")
    asked = files.read_json(folder / AUDIT).get("measurement", {})
    given = dict(asked.get("given", {}))
    if not given.get("references") or str(given["model"]).endswith(".onnx"):
        raise checks.InputError(
            f"{folder} can't be inspected: expected an audit by the command rurk audit, of a model "
            "in Python (ONNX gives no gradients), with re-trained models beside it"
        )
    given |= {name: Path(given[name]) for name in PATHS if given[name]}
    several = [Path(path) for path in given["references"]]
    there = [Path(given["model"].rpartition(":")[0]), *(given[n] for n in PATHS if given[n])]
    known: dict[str, Path] = {}
    for path in [*there, *several]:
        if not path.is_file():
            raise checks.InputError(f"{path} is gone, which the audit in {folder} is about")
        known[sha := hashlib.sha256(path.read_bytes()).hexdigest()] = path
        if sha not in asked["sha256"].values():
            raise checks.InputError(f"{path} isn't what was audited any more: run rurk audit again")
    compared = {asked["sha256"][name] for name in asked["references"]}  # without copies
    return asked, given | {"references": [p for sha, p in known.items() if sha in compared]}
