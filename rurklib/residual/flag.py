"""A flag: a warning's name, what it means, and how to mend it. Who raises them: ``flags.py``.

README.md in this folder has the same as a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# What each means and how to mend it; what was seen stands before it.
MEANS = {
    "probabilities": ": all outputs are in [0, 1], like a sigmoid's or a rounded softmax's. Hits "
    "are right, margins are not, and gradients fade: give logits (drop the last layer, or take the "
    "log of the odds), or judge by test='hits'",
    "train mode": ": given in train mode and measured in eval mode (put back after). If it is used "
    "in train mode, dropout and batch statistics make another model of it; call .eval() first",
    "stochastic model": ": two evaluations of the same samples differ, so this is one realisation "
    "and the next measurement is another. Switch the randomness off, or put it in the model's "
    "definition: average many evaluations",
    "inputs outside [0, 1]": " and bounds=None. If they are normalised images, tau is in units of "
    "the normalised pixel and copies are not clipped to what an image can be: move the "
    "normalisation into the model and give x in [0, 1] with bounds=(0, 1)",
    "dark images": ", of 1 in all: so noise of some tau is more to them than to other images. Were "
    "pixels of 0 ... 16 saved as bytes, which are divided by 255, or divided twice? Give floats in "
    "[0, 1]. As it should be if the images are that dark",
    "references unlike held-out samples": ". No reference was trained on either, so they should do "
    "as well on both. More on forget samples: was a reference trained on them, or on near copies "
    "of them? Fewer: the forget samples are of another kind (harder, mislabelled, other shares of "
    "the classes), and the held-out ones no control. Check the split",
    "forget samples elsewhere": " of the data forget samples stand again, byte for byte. "
    "References that were trained on those know what was to be forgotten, and hide that the model "
    "does. Take copies out of what references are trained on, or name them as forgotten too",
    "few references": " given. How much re-trained models differ among themselves can't be told "
    "from so few: there is no interval and no verdict. Re-train at least three, better six",
    "references alike": ": they answer alike on every copy, so they are one model, and the copy "
    "is left out. Were files copied, or trainings given one seed?",
    "reference unlike the others": ", more than re-trained models differ: was it trained on them, "
    "or from a model that was? A reference that knows the forget samples hides that the model "
    "does. Re-train it, or leave it out",
    "references at chance": ": no better than guessing, so there is nothing to compare with. Are "
    "labels in another order (fewer are right then than by guessing), pixels normalised otherwise "
    "than in training or divided by 255 twice, colours swapped? As it should be only where a whole "
    "class was forgotten: there, read the column difference",
    "reference at chance": " guesses where the others don't (never trained, diverged, labels in "
    "another order?). It widens what re-trained models are believed to show, and so acquits: "
    "re-train it, or leave it out",
    "depends on the batch": ": the same samples get other answers in a smaller batch (BatchNorm "
    "without running statistics?), so hits depend on batch_size",
    "undefined ratios": " are recognised by no reference and have no ratio. The mean of ratios is "
    "about the others alone; read the difference and the margin, or (above tau = 0) measure at "
    "smaller tau",
    "perturbations changed nothing": ", so this is no test of a neighbourhood. Zero gradients (a "
    "hard threshold, dead or saturated units)? Use a perturbation that needs none, e.g. gaussian. "
    "Or is tau below what the input's type can show?",
}
NAMES = tuple(MEANS)


@dataclass(frozen=True)
class Flag:
    """A warning: its ``name`` (one of ``NAMES``) and what was seen, what it means, how to mend."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def flag(name: str, seen: str) -> list[Flag]:
    """The flag of that name if there was something to see, which stands before its meaning."""
    return [Flag(name, seen + MEANS[name])] if seen else []


def some(names: Sequence[str], between: str = ", ") -> str:
    """The first four of them, and how many more."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return between.join(names[:4]) + more
