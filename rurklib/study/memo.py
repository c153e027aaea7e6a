"""Files of a run: written atomically, never unpickled, each saying what it was made from.

An artefact carries the *fingerprint* of everything that it depends on (parameters, its parents'
digests, the code that matters) inside itself - in the safetensors header, as a field of the npz,
in the notebook's metadata - and the digest of its content. So presence means done: a file is there
whole with the right fingerprint, or it is made and moved into place last. There is no second
record that could disagree with it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


def fingerprint(**parts: Any) -> str:
    """Hash of plain data (numbers, strings, lists, dicts), 16 hex digits."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"can't fingerprint a {type(value).__name__}")


@functools.cache
def code(*parts: str) -> str:
    """Hash of the statements in the package's files or folders, e.g. ``code("train", "models")``.

    Comments, layout and docstrings don't count, so that explaining code better doesn't make
    anyone train again.
    """
    sha = hashlib.sha256()
    for part in parts:
        path = PACKAGE / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list) and body and _is_text(body[0]):
                    body.pop(0)
            sha.update(ast.dump(tree).encode())
    return sha.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
