"""One self-contained HTML page from text, tables and pictures; opens without server or internet."""

import base64
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from rurklib.study import files

STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --soft: #a0a0a0; --line: #444; --page: #1b1b1b; }
  img { background: #fff; }
}
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; border-radius: 4px; }
figcaption, .soft { color: var(--soft); font-size: .92rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .86rem; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--page); } th { font-weight: 600; }
th:nth-child(2):last-child, td:nth-child(2):last-child { text-align: left; white-space: normal; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; } .gallery figure { width: 13rem; margin: 0; }
details { margin: 1rem 0; } code { font-size: .92em; }
"""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Heading:
    """A section heading."""

    text: str


@dataclass(frozen=True)
class Table:
    """A frame with a caption; ``folded`` hides it behind its caption until it is opened.
    ``links``: where the first column leads, one address for each row, empty for none."""

    frame: pd.DataFrame
    caption: str
    folded: bool = False
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG file with its alt text and a caption that reads it."""

    path: Path
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Small pictures that lead to themselves: (relative address, alt text, caption) of each."""

    items: Sequence[tuple[str, str, str]]


Block = Text | Heading | Table | Picture | Gallery


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write the page atomically; pictures are embedded."""
    body = "\n".join(_block(b) for b in blocks)
    files.write(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n",
    )


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Table):
        table, caption = f"<div class=wide>{_table(block)}</div>", escape(block.caption)
        if block.folded:
            return f"<details><summary>{caption}</summary>{table}</details>"
        return f"{table}<p class=soft>{caption}</p>"
    if isinstance(block, Gallery):
        items = ((_address(link), alt, caption) for link, alt, caption in block.items)
        small = (_figure(link, a, c, f'<a href="{link}">', "</a>") for link, a, c in items)
        return f"<div class=gallery>{''.join(small)}</div>"
    data = base64.b64encode(block.path.read_bytes()).decode()
    return _figure(f"data:image/png;base64,{data}", block.alt, block.caption)


def _figure(source: str, alt: str, caption: str, before: str = "", after: str = "") -> str:
    image = f'{before}<img loading="lazy" alt="{escape(alt)}" src="{source}">{after}'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(table: Table) -> str:
    if not table.links:
        return table.frame.to_html(index=False, border=0, float_format="%.3f")
    frame = table.frame.rename(columns=lambda name: escape(str(name)))
    texts = frame.select_dtypes(exclude="number").columns
    frame = frame.assign(**{c: frame[c].map(lambda v: escape(str(v))) for c in texts})
    first = frame.columns[0]
    pairs = zip(table.links, frame[first], strict=True)
    frame[first] = [f'<a href="{_address(to)}">{v}</a>' if to else str(v) for to, v in pairs]
    return frame.to_html(index=False, border=0, float_format="%.3f", escape=False, na_rep="")


def _address(path: str) -> str:
    return escape(urllib.parse.quote(path))
