"""The stages of a run, a file each; :mod:`rurklib.study` hands on what users call.

train -> unlearn (``models``), measure, attack, summary; ``tune`` and ``ablation`` unlearn and score
by way of ``trials``; ``parallel`` does several at a time.
"""
