"""Figures of notebook 7: their titles and alternative texts say what the frames hold."""

from types import SimpleNamespace

import pandas as pd

from rurklib.study.figures import attacks_outside, attacks_singly
from rurklib.study.stages.attack_reading import HALVES
from rurklib.study.stages.attack_tables import compare_runs, majority, share_outside

PANELS = {"forget set": "forget set (2 samples)", "held out": "held out (2 samples)"}
FOUND = {  # of two seeds, on the forget set and against held-out samples
    ("noise", "Original"): (["above", "above"], ["above", "inside"]),
    ("noise", "RURK"): (["below", "below"], ["inside", "inside"]),
    ("turns", "Original"): (["above", "inside"], ["inside", "inside"]),
    ("turns", "RURK"): (["below", "above"], ["above", "inside"]),
}


def attacked() -> pd.DataFrame:
    rows = [
        {"attack": a, "statistic": s, "method": m, "seed": seed, "finding": finding, "value": 0.5,
         "low": 0.4, "high": 0.6, "reference": 0.5, "predict_low": 0.3, "predict_high": 0.7,
         "t": 4.0}
        for (a, m), halves in FOUND.items()
        for s, its in zip(HALVES, halves, strict=True)
        for seed, finding in enumerate(its)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_shares_outside_are_told_for_both_halves():
    """Fails if the halves are swapped, or one side alone is counted."""
    table = attacked()
    other = table.assign(statistic="auc")
    cells = compare_runs({"digits": table})
    shares, both = share_outside(cells), pd.concat([table, other])
    figure, data, alt = attacks_outside.by_half(both, cells, shares, HALVES, "RURK")
    assert figure.get_suptitle() == (
        "RURK is outside in 100 % of attacks x seeds on the forget set, in 25 % against held-out "
        "samples;\nOriginal in 75 % and 25 %"
    )
    assert alt.endswith("against held-out: Original 75 and 25 %, RURK 100 and 25 %.")
    assert set(data.statistic) == set(HALVES)
    figure, data, alt = attacks_outside.cheats(other, cells, shares, HALVES, ["Original", "RURK"])
    assert figure.get_suptitle().endswith("outside on the forget set:\nOriginal 75 %, RURK 100 %")
    assert data is other
    assert "on RURK and on two cheating" in alt


def test_scenarios_are_counted_by_what_most_seeds_say():
    """Fails if seeds are counted for cells, another method's, or scenarios are thrown together."""
    calm = attacked().assign(finding="inside")
    cells = compare_runs({"digits": attacked(), "calm": calm})
    shares = share_outside(cells)
    figure, _, alt = attacks_outside.by_scenario(cells, shares, majority(cells), "RURK")
    assert figure.get_suptitle().endswith("above re-trained models 0,\nbelow 1, inside 3")
    assert alt.endswith(
        "digits: Original 75 / 0 %, RURK 25 / 75 %; calm: Original 0 / 0 %, RURK 0 / 0 %."
    )
    figure, _, alt = attacks_outside.both_halves(shares, HALVES, ["RURK"])
    assert figure.get_suptitle().endswith("mean over scenarios:\nRURK 50 and 12 %")
    assert alt.endswith("Original 38 and 12 %, RURK 50 and 12 %.")


def test_distances_are_medians_in_the_order_asked_for():
    values = {
        "forget set": {"Original": [1, 2, 6], "GD": [-1, 1, 1], "Re-train": [-1, -1, 5]},
        "held out": {"Original": [3, 3, 3], "GD": [4, 4, 4], "Re-train": [5, 5, 5]},
    }
    frame = pd.DataFrame(
        [(p, m, d) for p, by in values.items() for m, its in by.items() for d in its],
        columns=["part", "method", "distance"],
    )
    figure, _, alt = attacks_singly.distances(frame, ["GD", "Original"], "GD")
    assert figure.get_suptitle() == (
        "A forgotten sample is 2.00 from being lost by Original, 1.00 by GD, -1.00 by re-trained "
        "models;\na held-out one 3.00, 4.00 and 5.00 (medians)"
    )
    assert alt.endswith("GD 1.00 (33 % missed), Original 2.00 (0 % missed), Re-train -1.00 "
                        "(67 % missed).")  # fmt: skip
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["GD", "Original", "Re-train"]


def test_members_are_told_by_auc_and_the_limits_of_the_distance():
    """Fails if another statistic or another attack's limits are told."""
    auc = attacked()[lambda f: f.statistic == "calibrated auc"]
    auc["attack"] = auc.attack.replace({"turns": "distance L2"})
    auc.loc[auc.attack == "noise", "predict_low"] = 0.0
    auc.loc[(auc.method == "RURK") & (auc.attack == "noise"), "value"] = [0.6, 0.8]
    frame = pd.concat([auc, auc.assign(statistic="calibrated tpr", value=0.0)])
    figure, data, alt = attacks_singly.members(frame, "RURK")
    told = "AUC of Original/RURK: noise 0.50/0.70, distance L2 0.50/0.50"
    assert figure.get_suptitle().startswith(f"{told};\na further re-trained model by L2 distance")
    assert figure.get_suptitle().endswith("0.30 to 0.70")
    assert alt.endswith("AUC, Original/RURK: noise 0.50/0.70, distance L2 0.50/0.50.")
    assert len(figure.axes) == 4
    assert data is frame


def curves(x: str, y: str, ends: dict[tuple[str, str], float]) -> pd.DataFrame:
    """From 1 at x = 0 to these, by part and method."""
    return pd.DataFrame(
        [{"part": p, "method": m, "seed": 0, x: k, y: v}
         for (p, m), end in ends.items() for k, v in ((0, 1.0), (2, end))]
    )  # fmt: skip


def test_searches_tell_forgotten_beside_held_out_samples():
    """Fails if parts or ends are swapped, or what held-out samples gain isn't taken off."""
    ends = {("forget set", "RURK"): 4.0, ("forget set", "Re-train"): 2.0,
            ("held out", "RURK"): 3.0, ("held out", "Re-train"): 2.5}  # fmt: skip
    figure, _, alt = attacks_singly.mapping(curves("tau", "kl", ends), PANELS, 2, "RURK")
    told = "RURK 4 / 3, Re-train 2 / 2"
    assert figure.get_suptitle() == f"At tau 2, forgotten / held-out: {told}"
    assert alt.endswith("At tau 2, forgotten and held-out: RURK 4 and 3, Re-train 2 and 2.")
    frame = curves("step", "margin", ends)
    figure, _, alt = attacks_singly.relearning(frame, PANELS, 10, "RURK")
    assert figure.get_suptitle().endswith("held-out ones: RURK +1.00, Re-train -0.50 logits")
    assert "on 10 other samples" in alt
    assert alt.endswith("gain more: RURK +1.00, Re-train -0.50 logits.")


def test_hidden_gradients_are_told_with_all_that_were_asked():
    found = {"GD": SimpleNamespace(steps=(0, 1), margins=(3.0, 1.0), signs=("no gradient",)),
             "CR": SimpleNamespace(steps=(0, 1), margins=(2.0, -1.0), signs=())}  # fmt: skip
    figure, data, alt = attacks_singly.masking(found, 0.06)
    assert figure.get_suptitle() == "Signs of hidden gradients: GD\n(of GD, CR)"
    assert "GD 1.00 (from 3.00), CR -1.00 (from 2.00). Signs of hidden gradients: GD." in alt
    assert data[["method", "steps", "margin"]].to_numpy().tolist()[1] == ["GD", 1, 1.0]
    figure, _, _ = attacks_singly.masking({"CR": found["CR"]}, 0.06)
    assert "gradients: none" in figure.get_suptitle()
