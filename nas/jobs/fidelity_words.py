"""A fidelity report in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

FEWEST = 4
"""Rank agreement is not stated of fewer candidates."""
APART = 2 * math.sqrt(2)
"""Two single trainings differ only by more than so many standard deviations between seeds."""
PARAMETERS = "parameters only"


def words_of(report: Mapping[str, Any], job_id: str) -> list[str]:
    """Return what the figures mean, in plain sentences, the most important first."""
    metric, last = report["metric"], report["steps"][-1]
    promotion = report["promotion"]
    saved = [f"Promotion saved {promotion['saved']:.0%} of the search's training steps."] if promotion else []
    if report["status"] == "unchecked":
        return [
            f"Nobody has checked how {metric} after {last} steps ranks candidates, nor how much it differs between "
            f"seeds: take it as a proxy. `nas jobs finish {job_id}` trains the front and a sample in full and tells.",
            *saved,
        ]
    words: list[str] = []
    rung = next((r for r in report["rungs"] if r["steps"] == last), None)
    if rung is None or rung["overall"]["tau"] is None:
        if report["status"] != "running":
            words.append(
                f"Too few of the sample were trained in full ({len(report['sample'])}, at least {FEWEST} are needed) "
                f"to say how well {metric} after {last} steps ranks candidates."
            )
    else:
        words += _words_on_ranking(report, rung)
    words += _words_on_noise(report)
    choice = (report["finish"] or {}).get("choice")
    if choice and choice["hypervolume_kept"] is not None:
        words.append(
            f"Trained in full, the search's front keeps {choice['hypervolume_kept']:.1%} of the hypervolume of all "
            f"{choice['trained']} architectures that were trained so"
            + ("." if choice["regret"] is None else f"; regret {choice['regret']:.3g} in {metric} on average.")
        )
    return [*words, *saved]


def _words_on_ranking(report: Mapping[str, Any], rung: Mapping[str, Any]) -> list[str]:
    overall, within = rung["overall"], rung["within_strata"]
    right = (1 + overall["tau"]) / 2
    among = "" if not within or within["tau"] is None else f"; among candidates of like cost τ {within['tau']:.2f}"
    interval = f"90 % interval {overall['tau_low']:.2f} to {overall['tau_high']:.2f}"
    words = [
        f"{report['metric']} after {rung['steps']} steps puts {right:.0%} of pairs in the order of "
        f"{report['full_steps']} steps (Kendall's τ {overall['tau']:.2f}, {interval}, {overall['candidates']} "
        f"candidates{among})."
    ]
    parameters = next((b for b in report["beside"] if b["name"] == PARAMETERS), None)
    if report["beats_parameters"] is False and parameters is not None:
        words.append(
            f"That is no better than ranking by parameters alone (τ {parameters['overall']['tau']:.2f}): this training "
            "tells nothing that the parameters don't. Train longer, or choose by parameters."
        )
    elif parameters is not None:
        words.append(f"Ranking by parameters alone would reach τ {parameters['overall']['tau']:.2f}.")
    return words


def _words_on_noise(report: Mapping[str, Any]) -> list[str]:
    if report["ties"] is None:
        return ["How much the metric differs between seeds is unknown: no architecture has been trained twice."]
    noise = next(n for n in report["noise"] if n["steps"] == report["steps"][-1])
    apart = f"{APART * noise['deviation']:.2g} (2 √2 standard deviations between seeds)"
    if not report["ties"]:
        return [f"Every member of the front differs from every other by more than {apart}."]
    tied = ", ".join(str(tie["trial"]) for tie in report["ties"])
    return [f"Members {tied} are tied: each differs from another of the front by less than {apart}."]
