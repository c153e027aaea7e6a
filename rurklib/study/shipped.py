"""Models that come with the package: trained once, and taken in place of training them again.

``trained/digits.safetensors`` holds the digits study's as they were trained, each with the content
(:func:`rurklib.study.memo.content`) of the code and inputs that made it. A model is taken only
under the content that today's code and inputs have: whoever edits what training depends on trains
again, as without the file; one that is out of date costs time alone. ``make showcase`` makes it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rurklib.study import files
from rurklib.study.memo import Checkpoint
from rurklib.study.run_record import RECORD

FILE = Path(__file__).parent / "trained" / "digits.safetensors"
COMMAND = "make showcase"
NOTED = "models"  # the entry of env.json, if any were taken


class Shelf:
    """The models of such a file, by their content; none if it isn't there.

    ``models`` are their names, digests and records, ``made`` is the env.json of the run that
    trained them. A damaged file is empty, a damaged model isn't there; either is said, in a line.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or FILE
        self.models: Mapping[str, Mapping[str, Any]] = {}
        self.made: Mapping[str, Any] = {}
        if self.file.exists():
            try:
                with safe_open(self.file, "pt") as opened:
                    header = json.loads((opened.metadata() or {})["rurklib"])
                self.models, self.made = header["models"], header["made"]
            except (SafetensorError, OSError, KeyError, ValueError) as error:
                self._warn(f"is damaged ({error})")

    def get(self, content: str) -> Checkpoint | None:
        """The model of a content, its record with where it comes from; None if it isn't there."""
        if (its := self.models.get(content)) is None:
            return None
        own = f"{its['name']}/"
        try:
            with safe_open(self.file, "pt") as opened:
                names = [name for name in opened.keys() if name.startswith(own)]  # noqa: SIM118
                weights = {name.removeprefix(own): opened.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            self._warn(f"is damaged ({error})")
            return None
        if files.weights_digest(weights) != its["digest"]:
            self._warn(f"is damaged: {its['name']} doesn't match its digest")
            return None
        return Checkpoint(weights, {**its["record"], "taken": self.said})

    @property
    def splits(self) -> set[str]:
        """The splits, by digest, whose models there are."""
        return {its["record"]["split"] for its in self.models.values()}

    @cached_property
    def said(self) -> str:
        """Which file it is, and where its models were trained."""
        sha256 = hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]
        where = f"{self.made.get('processor')}, torch {self.made.get('torch')}"
        commit = f"commit {self.made.get('git')}"
        return f"{self.file.name}, SHA-256 {sha256}; trained on {where}, {commit}"

    def _warn(self, what: str) -> None:
        print(f"warning: {self.file} {what}: models are trained here; to mend it, {COMMAND}")


def write(file: Path, paths: Mapping[str, Path], made: Mapping[str, Any]) -> None:
    """Write the checkpoints at ``paths``, by their content, into one file; ``made`` says where they
    were trained. The same run gives the same bytes."""
    tensors: dict[str, Tensor] = {}
    models: dict[str, dict[str, Any]] = {}
    for content, path in paths.items():
        weights, _, record = files.load_weights(path)
        tensors |= {f"{path.stem}/{name}": tensor for name, tensor in weights.items()}
        digest = files.weights_digest(weights)
        models[content] = {"name": path.stem, "digest": digest, "record": record}
    header = {"models": models, "made": {**made, "command": COMMAND}}
    # One entry: of several, safetensors would write them in another order each time.
    files.write(file, save(tensors, metadata={"rurklib": json.dumps(header, sort_keys=True)}))


def trains_here(folder: str | Path, fresh: bool) -> bool:
    """Whether a run takes none of them: one that is begun so, or its run.json says so."""
    record = Path(folder) / RECORD
    return fresh or (record.exists() and files.read_json(record).get("trained_here") is True)


def noted(folder: Path) -> dict[str, str]:
    """For env.json: how many of a run's models weren't trained here, and where they come from;
    nothing if all were."""
    records = [files.weights_record(path) for path in (folder / "models").glob("*.safetensors")]
    found = Counter(its for record in records if (its := record.get("taken")))
    said = [f"{n} of {len(records)} taken from the package ({its})" for its, n in found.items()]
    return {NOTED: f"{'; '.join(said)}, not trained here"} if said else {}
