"""``digits-robust``: does residual knowledge go where models are robust, or to larger radii?

The request of ``digits``, but Original and the re-trained references are trained on copies that
they err on most (:mod:`rurklib.train.adversarial`, L-inf radius 0.1, PGD). The paper names the
question as future work: does adversarial training impede unlearning? Radii go twice as far as those
of ``digits``, for robust nets recognise noisier copies. The methods have the values of ``digits``,
which aren't tuned for these nets, and fine-tune on the samples as they are: a method's model may be
less robust than what it came from and than the references, and that alone lowers it under noise.
Read Original first.

Seen in one run (seed 0, four references, 50 draws; so an impression, and no more): residual
knowledge grew and moved to larger radii. Original's ratio was highest at tau 0.2 on ``digits``
(1.065 at radii like these) and still rose at tau 0.4 here (1.120); the margin was 2.4 logits above
re-trained models over the curve, where it was 0.8. RURK with the values of ``digits`` did next to
nothing (1.095 at tau 0.4, where it had 0.679): a robust net resists a weak push as well.

    rurk study --scenario digits-robust --set methods=GD,RURK --set references=6
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
