"""The live page: one HTML file in which a visitor tries a run's models, without server or network.

``build.py`` reads the run and puts the files beside it into one: ``page.html`` (the words),
``page.css``, ``net.js`` (the forward pass), ``measure.js`` (noise, counts, ratio, bands: the
package's definitions once more), ``chart.js`` and ``show.js`` (what is seen), ``words.js``
(what is said), ``draw.js`` and ``page.js`` (what a visitor does).
"""

from rurklib.study.page.build import page

__all__ = ["page"]
