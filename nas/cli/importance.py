"""`nas jobs importance`: which choices matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from nas.cli.jobs import LATEST, JobArgument, job_id_of
from nas.cli.options import DEFAULT_URL, JsonOption, UrlOption, example, opened_client
from nas.cli.output import print_json, print_table, table_of

LEAST_SHOWN = 0.005
"""Choices that explain less of every objective are left out of the table."""
BAR = 12


def register(app: typer.Typer) -> None:
    """Add the command to those of jobs."""
    app.command("importance", epilog=example("nas jobs importance latest"))(importance)


def importance(job: JobArgument = LATEST, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Tell how much of what candidates differ by each choice explains alone, for every objective.

    Of a choice that is made anew for every layer it is told how much it matters how many layers have which option.
    Costs are exact; quality is taken from a model of the job's evaluations.
    """
    with opened_client(url) as client:
        found = client.importance(job_id_of(client, job))
    if as_json:
        print_json(found)
        return
    for words in words_of(found):
        print(f"- {words}")
    shares = {
        each["objective"]: {choice["choice"]: choice["share"] for choice in each["choices"]}
        for each in found["objectives"]
        if each["choices"] is not None
    }
    if not shares:
        return
    weight = {name: max(of.get(name, 0.0) for of in shares.values()) for of in shares.values() for name in of}
    names = sorted((n for n in weight if weight[n] >= LEAST_SHOWN), key=lambda name: -weight[name])
    print()
    rows = [[name, *(_bar(of.get(name, 0.0)) for of in shares.values())] for name in names]
    print_table(table_of(["choice", *shares], rows))


def words_of(importance: Mapping[str, Any]) -> list[str]:
    """Return what has to be known of the shares, a sentence each."""
    within, sampled = importance["within_limits"], importance["sampled"]
    words = [f"{within:,} of {sampled:,} sampled candidates keep the limits on known costs."]
    for each in importance["objectives"]:
        model = each["model"]
        if model is not None:
            words.append(
                f"{each['objective']} is what a model of {model['trials']} evaluations expects; of these it foretells "
                f"{model['explains']:.0%} of the variance, each left out in turn."
            )
        elif each["choices"] is None:
            words.append(f"Too little is known of {each['objective']} to say anything.")
    return words


def _bar(share: float) -> str:
    return f"{share:4.0%} {'█' * round(BAR * share)}"
