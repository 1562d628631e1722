"""The agent's HTTP API: orders from placement, answers from the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from common.auth import Principal, TokenRefused, Verifier
from dataplane.hostnat import Traffic
from services.netagent import wire
from services.netagent.archive import Archives
from services.netagent.checks import Checks
from services.netagent.errors import MalformedMessage, NotAHypervisor, NotAnEdge
from services.netagent.observe import EdgeRoutes, Feed, port_traffic
from services.netagent.probes import Prober
from services.netagent.reconciler import Reconciler
from services.netagent.render import guest_name
from services.netagent.transfers import Transfers

log = structlog.get_logger()

T = TypeVar("T", wire.Snapshot, wire.Delta)

LONGEST_WAIT_MS = 30_000
TOKEN_SECONDS = 30.0  # a token found valid is not checked again so soon
TOKENS = 64
SHOWN = 10  # of the entries of an order, in the log


class Health(BaseModel):
    """The process answers; what it holds is in `state`."""

    name: str
    node: str
    role: str


class RouteLookup(BaseModel):
    """Prefixes whose next hops are asked for."""

    prefixes: list[str] = Field(min_length=1, max_length=10_000)


class TrafficLookup(BaseModel):
    """Ports whose links' traffic is asked for."""

    ports: list[UUID] = Field(min_length=1, max_length=10_000)


class ArchiveName(BaseModel):
    """Where an archive lies, or is to lie."""

    url: str = Field(max_length=2048)


class Discard(BaseModel):
    """Which archive holds the same as the disk; null for the disk of a port that never comes back."""

    url: str | None = Field(max_length=2048)


class Tokens:
    """Checks callers' tokens; the controller's one is shown with every request, so it is remembered for a while."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._known: dict[str, float] = {}

    def check(self, token: str) -> None:
        """Raises TokenRefused, RoleMissing."""
        now = time.monotonic()
        if self._known.get(token, 0.0) > now:
            return
        principal: Principal = self._verifier.verify(token)
        principal.require("service", "operator")
        if len(self._known) >= TOKENS:
            self._known.clear()
        self._known[token] = now + TOKEN_SECONDS


def router(
    reconciler: Reconciler,
    feed: Feed,
    edge: EdgeRoutes | None,
    traffic: Traffic | None,
    seen: Callable[[], wire.Observed],
    prober: Prober,
    checks: Checks | None,
    archives: Archives | None,
    tokens: Tokens,
    health: Health,
) -> APIRouter:

    async def authenticated(authorization: Annotated[str, Header(include_in_schema=False)] = "") -> None:
        if not authorization.startswith("Bearer "):
            raise TokenRefused("the request carries no token; send `Authorization: Bearer …`")
        tokens.check(authorization.removeprefix("Bearer ").strip())

    public = APIRouter(prefix="/agent/v1")
    private = APIRouter(dependencies=[Depends(authenticated)])

    @public.get("/health", operation_id="getHealth", tags=["agent"])
    async def get_health() -> Health:
        return health

    @private.get("/state", operation_id="getState", tags=["agent"])
    async def get_state() -> wire.State:
        realized = reconciler.realized()
        return wire.State(epoch=realized.epoch, generation=realized.generation, digest=realized.digest)

    @private.get("/realized", operation_id="getRealized", tags=["agent"])
    async def get_realized() -> wire.Realized:
        return reconciler.realized()

    @private.get("/snapshot", operation_id="getSnapshot", tags=["agent"])
    def get_snapshot() -> Response:
        return Response(reconciler.held().pack(), media_type="application/octet-stream")

    @private.put("/snapshot", operation_id="putSnapshot", tags=["agent"])
    async def put_snapshot(request: Request) -> wire.Realized:
        return await _apply(reconciler, await request.body(), wire.Snapshot)

    @private.post("/delta", operation_id="postDelta", tags=["agent"])
    async def post_delta(request: Request) -> wire.Realized:
        return await _apply(reconciler, await request.body(), wire.Delta)

    @private.get("/changes", operation_id="getChanges", tags=["agent"])
    async def get_changes(
        after: Annotated[int, Query(ge=0)] = 0, wait_ms: Annotated[int, Query(ge=0, le=LONGEST_WAIT_MS)] = 0
    ) -> wire.Changes:
        return await feed.wait(after, wait_ms / 1000)

    @private.get("/observed", operation_id="getObserved", tags=["agent"])
    def get_observed() -> wire.Observed:
        return seen()

    @private.post("/rows:lookup", operation_id="lookupRows", tags=["agent"])
    def lookup_rows(body: wire.RowLookup) -> wire.Rows:
        return reconciler.rows(body.ports, body.prefixes)

    @private.post("/probes", operation_id="sendProbes", tags=["agent"])
    def send_probes(body: wire.Probes) -> list[wire.ProbeResult]:
        return prober.run(body)

    @private.get("/health-checks", operation_id="listHealthChecks", tags=["edge"])
    def list_health_checks() -> list[wire.CheckState]:
        if checks is None:
            raise NotAnEdge("this node is no edge")
        return checks.states()

    @private.post("/edge-routes:lookup", operation_id="lookupEdgeRoutes", tags=["edge"])
    def lookup_edge_routes(body: RouteLookup) -> list[wire.EdgeRoute]:
        if edge is None:
            raise NotAnEdge("this node is no edge")
        return _well_formed(lambda: edge.lookup(body.prefixes))

    @private.post("/port-traffic:lookup", operation_id="lookupPortTraffic", tags=["hypervisor"])
    def lookup_port_traffic(body: TrafficLookup) -> list[wire.PortTraffic]:
        if traffic is None:
            raise NotAHypervisor("this node is no hypervisor")
        return port_traffic(traffic, body.ports)

    transfers = Transfers()

    def disks() -> Archives:
        if archives is None:
            raise NotAHypervisor("this node has no guests' disks")
        return archives

    @private.get("/ports/{port}/disk", operation_id="getDisk", tags=["hypervisor"])
    def get_disk(port: UUID) -> wire.DiskState:
        return disks().look(guest_name(port))

    @private.post("/ports/{port}/disk:archive", operation_id="archiveDisk", tags=["hypervisor"])
    async def archive_disk(port: UUID, body: ArchiveName) -> wire.DiskArchive:
        guest, store = guest_name(port), disks()
        return await transfers.run(guest, body.url, lambda pulse: store.archive(guest, body.url, pulse))

    @private.post("/ports/{port}/disk:restore", operation_id="restoreDisk", tags=["hypervisor"], status_code=204)
    async def restore_disk(port: UUID, body: wire.DiskArchive) -> None:
        guest, store = guest_name(port), disks()
        await transfers.run(guest, body, lambda pulse: store.restore(guest, body, pulse))

    @private.post("/ports/{port}/disk:discard", operation_id="discardDisk", tags=["hypervisor"], status_code=204)
    def discard_disk(port: UUID, body: Discard) -> None:
        disks().discard(guest_name(port), body.url)

    @private.post("/archives:delete", operation_id="deleteArchive", tags=["hypervisor"], status_code=204)
    def delete_archive(body: ArchiveName) -> None:
        disks().delete(body.url)

    public.include_router(private)
    return public


async def _apply(reconciler: Reconciler, raw: bytes, expected: type[T]) -> wire.Realized:
    def work() -> wire.Realized:
        message = _well_formed(lambda: wire.parse(raw))
        if not isinstance(message, expected):
            raise MalformedMessage(f"this takes a {expected.__name__.lower()}")
        realized = reconciler.apply(message)
        puts = message.entries if isinstance(message, wire.Snapshot) else message.puts
        log.info(
            "kernel.changed",
            generation=message.generation,
            whole=isinstance(message, wire.Snapshot),
            put=len(puts),
            removed=len(message.tombstones),
            failed=len(realized.failed),
            entries=[wire.describe_entry(entry) for entry in puts[:SHOWN]],
        )
        return realized

    return await run_in_threadpool(work)


A = TypeVar("A")


def _well_formed(read: Callable[[], A]) -> A:
    try:
        return read()
    except (wire.Malformed, ValueError) as error:
        raise MalformedMessage(str(error)) from error
