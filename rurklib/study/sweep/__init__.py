"""One notebook executed for every cell of a grid of parameters.

``grid`` says which cells, ``run`` executes those that are missing, ``collect`` writes what came
out. A notebook can be swept if it has a parameter ``out``, the folder that the sweep gives it, and
writes ``rows.csv`` there; it may write ``figures/*.png``.
"""
