"""The jobs of the dashboard's pictures: a service that looks as after a day of work, recorded in a minute.

Nothing is trained and nothing measured here. Architectures come from a bundled space and cost what they cost; durations
of sub-blocks follow their multiply-adds on two made-up devices, and error rates follow a formula with noise. What the
pages make of these figures is the service's own work.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
from sqlalchemy import update

from nas.architecture import Architecture
from nas.costs import macs_of_call
from nas.export.weights import weights_to_bytes
from nas.jobs import inventory
from nas.latency.device import Device
from nas.models import build_model
from nas.search.front import front_rows
from nas.store.records import JobState, RetrainingKey, TrialOutcome, TrialState
from nas.store.store import Store
from nas.store.tables import jobs, trials
from nas.sub_blocks.calls import Call
from nas.workload import Workload
from tests.browser.recorded_jobs import RecordedJob, table_of

SPACE = "text-encoder"
WORKLOAD = Workload(input_length=64)
PHONE, BOARD = "example-phone", "example-board"
LATENCY = f"latency_ms@{PHONE}"
STEPS = 300
RANDOM_START = 40
"""Candidates before the search looks at what was good."""
SECONDS_EACH = 14
WITH_WEIGHTS = 4
WHOLE_MODELS = 24
LEARNS = {"gated-convolution": 0.075, "local": 0.05, "long-short": 0.055, "linear": 0.02, "low-rank": 0.015}
"""What a layer of this type takes off the error rate; of the others, a little with their heads."""


def record_everything(store: Store, client: httpx.Client) -> dict[str, str]:
    """Record the devices and the jobs; return the ids of the jobs by what they are shown as."""
    _add_devices(store)
    deadline = f"{LATENCY} <= 12"
    limits = {"constraints": [deadline, "parameters <= 6e5"], "sampler": "nsga2"}
    large = _Search(store, 480, name="language identification, 12 ms", seed=0, **limits)
    large.run(480, over_limit=12)
    large.end()
    second = _Search(store, 150, name="the same, another seed", seed=1, **limits)
    second.run(150)
    second.end()
    trained = _Search(store, 60, name="small, trained in full", seed=2, constraints=["parameters <= 3e5"])
    trained.run(60)
    trained.train_in_full(client)
    failed = _Search(store, 40, name="longer inputs", seed=3, constraints=["parameters <= 1e6"])
    failed.run(9)
    failed.end(JobState.FAILED, "the worker's disk is full: 0.1 of 20 GB are free")
    running = _Search(store, 200, name="language identification, tonight", seed=4, **limits)
    running.run(86)
    running.job.begin()
    running.place_in_time(minutes_ago=21, ends=False)
    RecordedJob.queued(store, **running.document | {"name": "for the next board", "seed": 5})
    found = {"large": large, "second": second, "trained": trained, "failed": failed, "running": running}
    return {name: search.job.id for name, search in found.items()}


def _add_devices(store: Store) -> None:
    for name, hardware, cores, memory_mb, macs_per_ns, run_ns in (
        (PHONE, "a phone that is made up (aarch64)", 8, 8_000, 4.0, 12_000),
        (BOARD, "a board that is made up (aarch64)", 4, 2_000, 1.6, 15_000),
    ):
        device = Device(
            name=name,
            hardware=hardware,
            cores=cores,
            memory_mb=memory_mb,
            runtime="onnxruntime",
            runtime_version="1.32.0",
            threads=1,
            precision="fp32",
            clock="unmanaged",
            system="Linux 6.1",
        )
        rng = random.Random(name)
        convolutions = 2.6 if name == BOARD else 1.0

        def duration_ns(
            call: Call, slower: float = convolutions, rate: float = macs_per_ns, constant: int = run_ns
        ) -> int:
            factor = slower if "gated-convolution" in call.key else 1.0
            return round(constant + factor * macs_of_call(call) / rate)

        spread = [rng.gauss(0, 0.009) for _ in range(WHOLE_MODELS)]
        table = table_of(device, SPACE, WORKLOAD, duration_ns, spread)
        inventory.add_device(store, device.model_dump(mode="json"))
        inventory.add_table(store, name, table.to_dict())


class _Search:
    """A job whose candidates are drawn at random first, and are then neighbours of the best so far."""

    def __init__(self, store: Store, budget: int, **changes: object) -> None:
        self.document = {
            "search_space": SPACE,
            "task": {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": STEPS}},
            "workload": WORKLOAD.model_dump(),
            "devices": [PHONE],
            "objectives": ["error_rate", LATENCY],
            "budget": {"trials": budget},
        } | changes
        self.job = RecordedJob(store, **self.document)
        self.job.set_reference({"error_rate": 1.0, LATENCY: 40.0}, {"error_rate": 0.0, LATENCY: 0.05})
        self._rng = random.Random(f"{changes['seed']}")
        self._seen: set[str] = set()
        self._best: list[tuple[float, float, Architecture]] = []

    def run(self, count: int, over_limit: int = 0) -> None:
        """Record so many evaluated candidates, and among them some that break a limit."""
        for done in range(count):
            architecture, latency = self._next(done)
            error_rate = _error_rate(architecture, self.job.context.costs(architecture), self._rng)
            self._record(architecture, error_rate)
            points = [*self._best, (error_rate, latency, architecture)]
            kept = front_rows(np.array([point[:2] for point in points]), [False, False])
            self._best = [points[row] for row in kept]
            if over_limit and done % (count // over_limit) == 5:
                self.job.skip_over_limit()

    def end(self, state: JobState = JobState.SUCCEEDED, reason: str = "budget spent") -> None:
        """End the job, some hours ago."""
        self.job.finish(state, reason)
        self.place_in_time(minutes_ago=60 * (30 - 5 * int(str(self.document["seed"]))))

    def train_in_full(self, client: httpx.Client) -> None:
        """End the job, and record the trainings in full that the service then asks for."""
        self.job.finish()
        client.post(f"/v1/jobs/{self.job.id}/finish", json={}).raise_for_status()
        self.job.begin_finishing()
        steps = client.get(f"/v1/jobs/{self.job.id}").json()["progress"]["finish"]["steps"]
        for member in client.get(f"/v1/jobs/{self.job.id}/fidelity").json()["finish"]["members"]:
            trained = 0.75 * member["proxy"] + self._rng.gauss(0, 0.012)
            for place in range(1 if member["roles"] == ["sample"] else 3):
                seed = int(str(self.document["seed"])) + place
                proxy, end, test = (
                    max(0.01, mean + self._rng.gauss(0, 0.006)) for mean in (member["proxy"], trained, trained + 0.004)
                )
                self.job.retrain(RetrainingKey(member["trial"], steps, seed), proxy, end, test, STEPS)
        self.end(reason="budget spent; finishing it: done")

    def place_in_time(self, minutes_ago: int, ends: bool = True) -> None:
        """Have the job begun then, and its candidates been trained one after the other."""
        store, begun = self.job.store, datetime.now(UTC) - timedelta(minutes=minutes_ago)
        numbers = [trial.number for trial in store.trial_summaries(self.job.id)]
        each = timedelta(seconds=SECONDS_EACH)
        times = {"created_at": begun, "started_at": begun}
        with store._database.write() as connection:
            for number in numbers:
                start = begun + number * each
                row = trials.update().where(trials.c.job_id == self.job.id, trials.c.number == number)
                connection.execute(row.values(started_at=start, finished_at=start + each, duration_s=SECONDS_EACH))
            if ends:
                times["finished_at"] = begun + len(numbers) * each
            connection.execute(update(jobs).where(jobs.c.id == self.job.id).values(times))

    def _next(self, done: int) -> tuple[Architecture, float]:
        """Return a candidate within the limits that was not seen before, and its latency in ms."""
        space = self.job.context.space
        while True:
            if done < RANDOM_START or self._rng.random() < 0.15:
                architecture = space.sample(self._rng)
            else:
                architecture = self._rng.choice(space.neighbours(self._rng.choice(self._best)[2]))
            costs = self.job.context.costs(architecture)
            if architecture.id not in self._seen and not self.job._violations(costs):
                self._seen.add(architecture.id)
                return architecture, costs[LATENCY]

    def _record(self, architecture: Architecture, error_rate: float) -> None:
        number = self.job._add(architecture, TrialState.RUNNING)
        loss = 3.4 * error_rate
        history = [
            [step, round(loss + (3.55 - loss) * math.exp(-4 * step / STEPS) + self._rng.gauss(0, 0.02), 4)]
            for step in range(STEPS // 20, STEPS + 1, STEPS // 20)
        ]
        training = {"label": "proxy", "steps": STEPS, "cpu_s": SECONDS_EACH - 1.5, "history": history}
        metrics = self.job.context.costs(architecture) | {"error_rate": error_rate, "loss": round(loss, 4)}
        outcome = TrialOutcome(TrialState.COMPLETE, metrics, training, None, float(SECONDS_EACH))
        self.job.store.finish_trial(self.job.id, self.job._token, number, outcome, _weights(number, architecture))


def _weights(number: int, architecture: Architecture) -> bytes | None:
    """Return untrained weights of the first candidates, so that the pages have something to offer."""
    return weights_to_bytes(build_model(architecture).state_dict()) if number < WITH_WEIGHTS else None


def _error_rate(architecture: Architecture, costs: dict[str, float], rng: random.Random) -> float:
    stack = architecture.stacks[0][1]
    learnt = sum(LEARNS.get(layer.attention, 0.01) * 0.72**i for i, layer in enumerate(stack.layers))
    size = 0.115 * math.log10(costs["parameters"] / 2e4)
    return round(min(0.97, max(0.04, 0.66 - learnt - size + rng.gauss(0, 0.012))), 4)
