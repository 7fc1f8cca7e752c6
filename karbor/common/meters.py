# SPDX-License-Identifier: Apache-2.0
"""What does this process count, for Prometheus?

Cheap: a change of a number in memory. What concerns the whole installation is not counted here but asked of the
database when somebody wants to know.
"""

from collections.abc import Callable, Mapping
from datetime import UTC

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from karbor.model.change import Change

_JOB_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ENDED = ("done", "failed")


class Meters:
    """The numbers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "karbor_job_attempts", "Jobs that a worker of this process began.", ["operation"], registry=self.registry
        )
        self._ended = Counter(
            "karbor_jobs_ended", "Jobs that this process ended.", ["operation", "state"], registry=self.registry
        )
        self._seconds = Histogram(
            "karbor_job_duration_seconds",
            "From the request until the end of jobs that this process ended.",
            ["operation", "state"],
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self._lost = Counter(
            "karbor_lease_losses",
            "Jobs that this process took over because their worker was not heard of for the lease.",
            ["operation"],
            registry=self.registry,
        )
        self._requests = Counter(
            "karbor_api_requests", "Requests answered.", ["operation", "status"], registry=self.registry
        )
        self._latency = Histogram(
            "karbor_api_request_duration_seconds",
            "Until the answer began.",
            ["operation"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )

        self._sweeps = Counter(
            "karbor_leftovers_looks",
            "Projects that were looked through for what failed jobs had left in the cloud.",
            ["outcome"],
            registry=self.registry,
        )
        self._leftovers = Counter(
            "karbor_leftovers_removed", "Things of failed jobs that were removed.", ["kind"], registry=self.registry
        )

    def observe(self, change: Change) -> None:
        """A listener of the database; neither waits nor raises."""
        if change.noun != "job":
            return
        job = change.thing
        if change.word == "running":
            self._attempts.labels(job.operation).inc()
        elif change.word == "taken_over":
            self._lost.labels(job.operation).inc()
        elif change.word in _ENDED:
            self._ended.labels(job.operation, change.word).inc()
            if job.created_at is not None:
                begun = job.created_at if job.created_at.tzinfo else job.created_at.replace(tzinfo=UTC)
                self._seconds.labels(job.operation, change.word).observe((change.at - begun).total_seconds())

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(operation, str(status)).inc()
        self._latency.labels(operation).observe(seconds)

    def swept(self, outcome: str, removed: Mapping[str, int]) -> None:
        """A project was looked through for what jobs had left."""
        self._sweeps.labels(outcome).inc()
        for kind, number in removed.items():
            self._leftovers.labels(kind).inc(number)

    def watch_dropped(self, number: Callable[[], int]) -> None:
        """Show how many notifications were dropped, as ``number`` tells it."""
        Gauge(
            "karbor_notifications_dropped_total", "Notifications that did not fit into the queue.",
            registry=self.registry,
        ).set_function(number)  # fmt: skip
