"""The stages of a run, a file each; :mod:`rurklib.study` hands on what users call.

train -> unlearn (``models``, several at a time), ``measure``, ``doubts``, ``attack``, ``summary``;
``tune`` and ``ablation`` unlearn with other values and score what comes out.
"""
