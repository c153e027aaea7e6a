"""``digits-robust``: does residual knowledge go where models are robust, or to larger radii?

The request of ``digits``, but Original and the re-trained references are trained on copies that
they err on most (:mod:`rurklib.train.adversarial`, L-inf radius 0.1, PGD). The paper names the
question as future work: does adversarial training impede unlearning? Radii go twice as far as those
of ``digits``, for robust nets recognise noisier copies. The methods have the values of ``digits``,
which aren't tuned for these nets, and fine-tune on the samples as they are: a method's model may be
less robust than what it came from and than the references, and that alone lowers it under noise.
Read Original first.

Residual knowledge grows, on the samples themselves too, and still rises at the largest radius; RURK
with the values of ``digits`` does next to nothing (``figures/digits-robust``).

    rurk study --scenario digits-robust --set methods=GD,NGD,SCRUB,SSD,RURK --tables-only
"""

from dataclasses import replace

from rurklib.study.scenarios.images import DIGITS

DIGITS_ROBUST = replace(
    DIGITS,
    name="digits-robust",
    title="digits, adversarially trained",
    references=6,
    recipe=replace(DIGITS.recipe, adversarial=0.1),
    taus=(0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
)
