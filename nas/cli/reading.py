"""`nas jobs reading`: how a front is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from nas.cli.jobs import LATEST, ConstraintsOption, JobArgument, ObjectivesOption, job_id_of
from nas.cli.options import DEFAULT_URL, JsonOption, UrlOption, example, opened_client
from nas.cli.output import print_json, print_table, table_of


def register(app: typer.Typer) -> None:
    """Add the command to those of jobs."""
    app.command("reading", epilog=example('nas jobs reading latest --constraint "parameters <= 5e5"'))(reading)


def reading(
    job: JobArgument = LATEST,
    objectives: ObjectivesOption = None,
    constraint: ConstraintsOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Tell who is really on the front given what is uncertain, what more of a cost buys, and what to measure next."""
    names = objectives.split(",") if objectives else None
    with opened_client(url) as client:
        job_id = job_id_of(client, job)
        found = client.reading(job_id, names, constraint)
        if as_json:
            print_json(found)
            return
        front = client.front(job_id, names, constraint)
        metrics = {member["number"]: member["metrics"] for member in front["members"]}
        for candidate in found["candidates"] or []:
            if candidate["trial"] not in metrics:
                metrics[candidate["trial"]] = client.trial(job_id, candidate["trial"])["metrics"]
    for words in words_of(found):
        print(f"- {words}")
    if found["candidates"]:
        _print_candidates(found["candidates"], [o["name"] for o in front["objectives"]], metrics)
    for exchange in found["exchanges"]:
        _print_exchange(exchange, metrics)
    if found["shared"]:
        _print_shared(found["shared"])


def words_of(reading: Mapping[str, Any]) -> list[str]:
    """Return what a reading says, a sentence each."""
    words = []
    if reading["noise"] is None:
        words.append(
            "How much the quality differs between seeds is not known: `nas jobs finish` trains the front under several."
        )
    if reading["candidates"] is None:
        words.append("No error of an objective is known, so nobody knows who would trade places on this front.")
    else:
        doubtful = [c for c in reading["candidates"] if c["on_front"] and c["probability"] < 0.5]
        beside = [c for c in reading["candidates"] if not c["on_front"]]
        words.append(f"Counted were the errors of {' and '.join(reading['uncertain'])}.")
        if doubtful:
            words.append(f"Rather not on the front: {_trials(doubtful)}.")
        if beside:
            words.append(f"Perhaps on it, too: {_trials(beside)}.")
    following = reading["measure_next"]
    if following is not None:
        words.append(
            f"Measure next: {following['metric']} of trial {following['trial']}, which is on the front with "
            f"probability {following['probability']:.2f}."
        )
    forecast = reading["forecast"]
    if forecast is not None:
        words.append(
            f"Another hour would evaluate about {forecast['evaluations']:,} more and add about {forecast['gain']:.2g} "
            f"to the hypervolume of {forecast['hypervolume']:.3f}, if it goes on as it did."
        )
    return words


def _trials(candidates: list[dict[str, Any]]) -> str:
    return ", ".join(f"trial {each['trial']}" for each in candidates)


def _print_candidates(
    candidates: list[dict[str, Any]], objectives: list[str], metrics: Mapping[int, Mapping[str, float]]
) -> None:
    print("\nProbability of being non-dominated:")
    rows = [
        [
            str(each["trial"]),
            "yes" if each["on_front"] else "",
            f"{each['probability']:.2f}",
            *(metrics[each["trial"]][name] for name in objectives),
        ]
        for each in candidates
    ]
    print_table(table_of([" trial", "on the front", " probability", *(f" {name}" for name in objectives)], rows))


def _print_exchange(exchange: Mapping[str, Any], metrics: Mapping[int, Mapping[str, float]]) -> None:
    if not exchange["steps"]:
        return
    cost, quality = exchange["cost"], exchange["quality"]
    print(f"\nWhat more {cost} buys:")
    rows = [
        [
            str(step["from_trial"]),
            str(step["to_trial"]),
            metrics[step["to_trial"]][cost],
            step["more"],
            step["gain"],
            step["rate"],
        ]
        for step in exchange["steps"]
    ]
    columns = [" from trial", " to", f" {cost}", " more of it", f" better {quality}", " a unit"]
    print_table(table_of(columns, rows))


def _print_shared(shared: list[dict[str, Any]]) -> None:
    print("\nOne model for all devices: what it loses against the best that is as fast there")
    devices = [each["device"] for each in shared[0]["losses"]]
    rows = [
        [str(member["trial"]), *(_loss_text(member["trial"], each) for each in member["losses"])] for member in shared
    ]
    print_table(table_of([" trial", *(f" {device}" for device in devices)], rows))


def _loss_text(trial: int, loss: Mapping[str, Any]) -> str:
    return "nothing" if loss["instead"] == trial or not loss["loss"] else f"{loss['loss']:.4g} to {loss['instead']}"
