"""The engine of large trainings: several processes under torchrun, a state that is kept, and a word
now and then about how far it is."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.study.scale import processes, resume
from rurklib.train.fit import Engine
from rurklib.train.spec import Recipe

PATIENCE = 30.0  # seconds until a process says how far a training is; each time twice as long


class AtScale(Engine):
    """For one training: ``fit(net, x, y, recipe, seed=0, engine=AtScale(file, key, every=5))``.

    It is computed by all processes that ``torchrun`` started (:mod:`.processes`); alone, weights
    are those of the plain engine to the bit.

    Args:
        kept: a file to keep the state in (:mod:`.resume`); None keeps nothing. A later training
            goes on from there, to the same bits, if it has the same key; another's file is left
            unused, with a warning. It is deleted at the end.
        key: says what is trained, and how: whatever moves a bit. How often the state is kept and
            how many processes there are don't.
        every: after how many passes it is kept, again and again; at least 1.
        name: what is trained; of a long one is printed now and then, ever more seldom, how far it
            is. Nothing is where it is empty.

    Raises InputError if there are more processes than samples in a batch, or if they don't agree on
    what has been kept.
    """

    said, wait = 0.0, PATIENCE  # of a process, whatever it trains

    def __init__(
        self, kept: Path | None = None, key: str = "", *, every: int = 5, name: str = ""
    ) -> None:
        self.kept, self.key, self.every = kept, key, checks.count("every", every)
        self.name = name
        self.called: Callable[[Tensor], Tensor] | None = None
        self.unwrap: Callable[[], None] = lambda: None
        self.before = 0.0  # seconds that processes before this one spent on what was kept

    def prepare(
        self, model: nn.Module, optimizer: torch.optim.SGD, recipe: Recipe, *, n: int, seed: int
    ) -> int:
        least, several = n * recipe.epochs // recipe.steps(n), processes.size()
        if least < several:
            raise checks.InputError(
                f"batches of {least} samples in {several} processes: expected at least one "
                "for each; raise batch_size or start fewer"
            )
        self.model, self.optimizer, self.seed, self.epochs = model, optimizer, seed, recipe.epochs
        if several > 1:
            self.called, self.unwrap = processes.wrap(model)
        state = {} if self.kept is None else resume.read(self.kept, self.key)
        done = resume.restore(state, model, optimizer) if state else 0
        self.before, self.began = float(state.get("seconds", 0.0)), time.perf_counter()
        self.a_pass = recipe.steps(n) // recipe.epochs
        self.steps = done * self.a_pass
        processes.agree(done, f"passes done in {self.kept}")
        processes.reseed(seed, done)
        return done

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        return model(x) if self.called is None else self.called(x)

    def backward(self, loss: Tensor) -> None:
        if self.called is None:
            loss.backward()
        else:
            processes.fabric().backward(loss)
        self.steps += 1
        if self.name and processes.rank() == 0:
            self.tell(time.perf_counter())

    def tell(self, now: float) -> None:
        """Say how far the training is, if nothing was said for long; a pass alone may be long."""
        done = self.steps / self.a_pass
        if now - max(AtScale.said, self.began) >= AtScale.wait and done < self.epochs:
            spent = self.before + now - self.began
            print(f"{self.name}: {done:.1f} of {self.epochs} epochs in {spent:.0f} s", flush=True)
            AtScale.said, AtScale.wait = now, 2 * AtScale.wait

    def after_pass(self, done: int) -> None:
        file = self.kept if processes.rank() == 0 else None  # the first process writes
        if done < self.epochs:
            processes.reseed(self.seed, done)
            if file is not None and done % self.every == 0:
                spent = self.before + time.perf_counter() - self.began
                resume.write(file, self.key, self.model, self.optimizer, done, spent)
            return
        self.unwrap()
        if file is not None:
            file.unlink(missing_ok=True)
