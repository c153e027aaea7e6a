"""How often the intervals hold, and the verdicts err, in made-up worlds with a known answer.

    python tests/benchmarks/intervals.py

The worlds are those of tests/residual/test_statistics.py and test_verdict.py, with more of them.
"""

import sys
from pathlib import Path

import numpy as np


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "residual"))
    import test_statistics as intervals
    import test_verdict as verdicts

    from rurklib.residual.statistics import ratio_interval

    seeds = range(1, 6)
    print(f"95 % intervals of the ratio, coverage in % of {len(seeds) * intervals.WORLDS} worlds\n")
    print("| samples | K = 3 | K = 6 | K = 10 |\n| ---: | ---: | ---: | ---: |")
    for n in (10, 30, 100):
        cells = []
        for k in (3, 6, 10):
            inside = []
            for seed in seeds:
                own, others, a, b = intervals.make_worlds(k, n, seed=seed)
                low, high = ratio_interval(own, others, intervals.DRAWS)
                inside.append(np.mean((low <= a / b) & (a / b <= high)))
            cells.append(f"{100 * np.mean(inside):.1f}")
        print(f"| {n} | " + " | ".join(cells) + " |")

    worlds = 2000
    for title, shift in (("Drawn like a reference", 0.0), ("A ratio of 1.2 planted", 0.491)):
        print(f"\n{title}: verdicts other than none detected, in % of {worlds} worlds\n")
        print("| test | K = 3 | K = 6 | K = 10 |\n| --- | ---: | ---: | ---: |")
        for test in verdicts.TESTS:
            cells = []
            for k in (3, 6, 10):
                rng = np.random.default_rng(k)
                drawn = (verdicts.scores(rng, k, shift) for _ in range(worlds))
                found = [verdicts.judged(s, rng, tests=[test])[test].finding for s in drawn]
                cells.append(f"{100 - 100 * found.count('none detected') / worlds:.1f}")
            print(f"| `{test}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
