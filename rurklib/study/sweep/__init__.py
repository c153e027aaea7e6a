"""One notebook executed for every cell of a grid of parameters.

``grid`` says which cells, ``key`` what each depends on; ``cell`` executes one while ``watch`` looks
after it, ``engines`` many at a time, ``drive`` all that are missing; ``progress`` tells, ``gather``
and ``page`` write what came out.

A notebook can be swept if it has a parameter ``out``, the folder that the sweep gives it, and
writes ``rows.csv`` there; it may write ``figures/*.png``.
"""

__all__ = []
