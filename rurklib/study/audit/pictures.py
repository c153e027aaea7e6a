"""An audit's picture: the curves."""

from pathlib import Path

from rurklib.residual.result import ResidualKnowledge
from rurklib.study import files
from rurklib.study.figures.curves import against_references
from rurklib.study.figures.style import png
from rurklib.study.report.page import Picture

CURVES = (
    "Left: residual knowledge, with the 95 % interval of the ratio; right: the logit margin above "
    "the references'. Grey: where one more re-trained model would fall with probability 95 %, "
    "at each tau. Each control is compared on its own samples."
)


def curves(folder: Path, result: ResidualKnowledge, title: str) -> Picture:
    """Draw curves.png into ``folder``."""
    what = f"Residual knowledge over tau, {title}"
    figure = against_references(result.frame, result.controls, title=what)
    alt = f"{what}: residual_knowledge.csv"
    files.write(folder / "curves.png", png(figure, alt))
    return Picture(folder / "curves.png", alt, CURVES)
