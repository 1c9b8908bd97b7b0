"""`nas jobs finish` and `nas jobs fidelity`: training in full what a search has found, and what that says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nas.cli.jobs import JobToName, follow, job_id_of
from nas.cli.options import DEFAULT_URL, JsonOption, UrlOption, example, opened_client
from nas.cli.output import note, print_json, print_table, table_of


def register(app: typer.Typer) -> None:
    """Add the commands to those of jobs."""
    app.command("finish", epilog=example("nas jobs finish latest --seeds 2 --watch"))(finish)
    app.command("fidelity", epilog=example("nas jobs fidelity latest"))(fidelity)


def finish(
    job: JobToName,
    steps: Annotated[
        int | None,
        typer.Option(min=1, show_default="4 times the search's", help="Steps of a training in full."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Trainings of each member of the front.")] = 3,
    members: Annotated[int, typer.Option(min=1, max=100, help="Members of the front at most, spread over it.")] = 6,
    sample: Annotated[
        int, typer.Option(min=0, max=100, help="Other candidates, over all costs, to judge the search by.")
    ] = 8,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end, then print the report.")] = False,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Train in full what a job has found, score it once on test, and tell how far its scores could be trusted.

    Trained are the front, the smallest and the largest architecture under several seeds, and a sample over all costs
    once. Configurations and weights of what was trained so are those of the full training from then on.
    """
    document = {"steps": steps, "seeds": seeds, "members": members, "sample": sample}
    with opened_client(url) as client:
        job_id = job_id_of(client, job)
        found = client.finish_job(job_id, {name: value for name, value in document.items() if value is not None})
        if not watch:
            if as_json:
                print_json(found)
            else:
                trainings = found["progress"]["finish"]["trainings"]
                print(f"{job_id} {found['state']}: {trainings} trainings; `nas jobs fidelity {job_id}` tells of them")
            return
        found = follow(client, job_id)
        report = client.fidelity(job_id)
    if as_json:
        print_json({"job": found, "fidelity": report})
    else:
        print_report(report)
    if report["status"] != "checked":
        note(f"{job_id}: {found['reason']}")
        raise typer.Exit(1)


def fidelity(job: JobToName, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Tell how far the scores of a job's search can be trusted."""
    with opened_client(url) as client:
        report = client.fidelity(job_id_of(client, job))
    if as_json:
        print_json(report)
    else:
        print_report(report)


def print_report(report: Mapping[str, Any]) -> None:
    """Print a fidelity report: its words, then its figures."""
    for words in report["words"]:
        print(f"- {words}")
    metric = report["metric"]
    compared = [(f"{metric} after {rung['steps']} steps", rung) for rung in report["rungs"]]
    compared += [(each["name"], each) for each in report["beside"]]
    if compared:
        print(f"\nRank agreement with {metric} after {report['full_steps']} steps, 90 % interval:")
        columns = ["ranking by", " Kendall's τ", " interval", " Spearman's ρ", " τ at like cost", " candidates"]
        print_table(table_of(columns, [[name, *_agreement_cells(found)] for name, found in compared]))
    if report["finish"]:
        print(f"\n{metric} in the search (proxy), trained in full ({report['full_steps']} steps), and on test:")
        columns = [" trial", "why", " parameters", " proxy", " trained", " tested", " seeds"]
        rows = [
            [
                str(member["trial"]),
                ", ".join(member["roles"]),
                int(member["parameters"]),
                member["proxy"],
                _figure_text(member["trained"]),
                _figure_text(member["tested"]),
                str((member["trained"] or {}).get("seeds", 0)),
            ]
            for member in report["finish"]["members"]
        ]
        print_table(table_of(columns, rows))
        for failed in report["finish"]["failed"]:
            note(f"trial {failed['trial']}, seed {failed['seed']} failed: {failed['error']}")


def _agreement_cells(found: Mapping[str, Any]) -> list[Any]:
    overall, within = found["overall"], found["within_strata"]
    interval = "–" if overall["tau_low"] is None else f"{overall['tau_low']:+.2f} to {overall['tau_high']:+.2f}"
    return [
        _two(overall["tau"]),
        interval,
        _two(overall["spearman"]),
        _two(within and within["tau"]),
        str(overall["candidates"]),
    ]


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _figure_text(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    deviation = figure["deviation"]
    return f"{figure['mean']:.4g}" + ("" if deviation is None else f" ± {deviation:.2g}")
