"""Clients of agents, used by placement alone: mutual TLS, a signed token, errors as exceptions.

An agent must show the certificate of the node that was dialled: common name `node/<id>`, of the nodes' authority.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from common.errors import DomainError
from common.http import CONNECT_TIMEOUT_S, ServiceClient, TokenSource, Unreachable, raise_problem
from services.netagent.errors import (
    BY_CODE,
    ArchiveAbsent,
    ArchiveDiffers,
    ArchiveUrl,
    BaseMismatch,
    CannotProbe,
    DiskAbsent,
    DiskBusy,
    DiskExists,
    DiskInUse,
    DiskNotSettled,
    DiskStorage,
    MalformedMessage,
    NotAHypervisor,
    NotAnEdge,
    RemovalBudget,
    StaleGeneration,
    StoreUnreachable,
    WrongAgent,
    WrongNode,
)
from services.netagent.wire import (
    Changes,
    CheckState,
    Delta,
    DiskArchive,
    DiskState,
    EdgeRoute,
    Observed,
    PortTraffic,
    Prefix,
    ProbeResult,
    Probes,
    ProbeTarget,
    Realized,
    RowLookup,
    Rows,
    Snapshot,
    State,
    parse,
)

__all__ = [
    "AgentClient",
    "ArchiveAbsent",
    "ArchiveDiffers",
    "ArchiveUrl",
    "AsyncAgentClient",
    "BaseMismatch",
    "CannotProbe",
    "Dial",
    "DiskAbsent",
    "DiskBusy",
    "DiskExists",
    "DiskInUse",
    "DiskNotSettled",
    "DiskStorage",
    "MalformedMessage",
    "NotAHypervisor",
    "NotAnEdge",
    "RemovalBudget",
    "StaleGeneration",
    "StoreUnreachable",
    "WrongAgent",
    "WrongNode",
]

BINARY = {"Content-Type": "application/octet-stream"}
SNAPSHOT_TIMEOUT_S = 120.0
TRANSFER_TIMEOUT_S = 30.0  # above `transfers.PATIENCE_S`, after which an agent says that it goes on
PATIENCE_S = 5.0  # beyond a long poll's own wait

_ROUTES = TypeAdapter(list[EdgeRoute])
_CHECKS = TypeAdapter(list[CheckState])
_PROBED = TypeAdapter(list[ProbeResult])
_TRAFFIC = TypeAdapter(list[PortTraffic])


@dataclass(frozen=True)
class Dial:
    """Whom to dial, and what to show: the controller's certificate and a token for that node."""

    url: str
    node: UUID
    token: TokenSource
    certificate: Path
    certificate_key: Path
    node_ca: Path
    timeout_s: float = 5.0

    def tls(self) -> ssl.SSLContext:
        """Shows the controller's certificate and trusts the nodes' authority alone.

        Host names are not checked, for nodes are dialled by address; the node's id is, by the clients.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.node_ca)
        context.load_cert_chain(self.certificate, self.certificate_key)
        return context


def check_identity(response: httpx.Response, node: UUID) -> None:
    """Raises WrongAgent unless the answer came from the node's own agent."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    if tls is None:
        raise WrongAgent(f"{response.url.host} does not answer by TLS")
    shown = [value for part in tls.getpeercert().get("subject", ()) for name, value in part if name == "commonName"]
    if f"node/{node}" not in shown:
        raise WrongAgent(f"{response.url.host} is {', '.join(shown) or 'nobody'}, not node/{node}")


def _typed(error: DomainError) -> DomainError:
    """The exception of ours that bears the error's code."""
    known = BY_CODE.get(error.code)
    return error if known is None else known(error.message, error.errors)


class AgentClient(ServiceClient):
    """One node's agent. Connections are kept; safe to share between threads.

    Every method raises Unreachable (it may have taken effect), WrongAgent, or the error the agent answered with.
    """

    def __init__(self, dial: Dial) -> None:
        super().__init__(dial.url, dial.token, dial.timeout_s, verify=dial.tls())
        self._node = dial.node

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            response = super().request(method, f"/agent/v1{path}", **kwargs)
        except DomainError as error:
            raise _typed(error) from error
        check_identity(response, self._node)
        return response

    def state(self) -> State:
        return State.model_validate_json(self.request("GET", "/state").content)

    def realized(self) -> Realized:
        return Realized.model_validate_json(self.request("GET", "/realized").content)

    def held(self) -> Snapshot:
        """All that the node was told to hold, by whichever database; nothing if it was told nothing yet."""
        message = parse(self.request("GET", "/snapshot", timeout=SNAPSHOT_TIMEOUT_S).content)
        assert isinstance(message, Snapshot)  # noqa: S101  it is sent as one
        return message

    def apply(self, message: Snapshot | Delta) -> Realized:
        """Send a message and wait until the kernel was read back."""
        raw = message.pack()
        return self.snapshot(raw) if isinstance(message, Snapshot) else self.delta(raw)

    def snapshot(self, raw: bytes) -> Realized:
        response = self.request(
            "PUT",
            "/snapshot",
            content=raw,
            headers=BINARY,
            timeout=httpx.Timeout(SNAPSHOT_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )
        return Realized.model_validate_json(response.content)

    def delta(self, raw: bytes) -> Realized:
        return Realized.model_validate_json(self.request("POST", "/delta", content=raw, headers=BINARY).content)

    def edge_routes(self, prefixes: Iterable[str]) -> list[EdgeRoute]:
        """Where the edge's kernel sends each prefix. Raises NotAnEdge."""
        response = self.request("POST", "/edge-routes:lookup", json={"prefixes": [str(p) for p in prefixes]})
        return _ROUTES.validate_json(response.content)

    def rows(self, ports: Iterable[UUID], prefixes: Iterable[Prefix]) -> Rows:
        """What the kernel holds of these ports and prefixes, beside what it is to hold."""
        body = RowLookup(ports=list(ports), prefixes=list(prefixes)).model_dump(mode="json")
        return Rows.model_validate_json(self.request("POST", "/rows:lookup", json=body).content)

    def health_checks(self) -> list[CheckState]:
        """What the edge's health checks have found so far. Raises NotAnEdge."""
        return _CHECKS.validate_json(self.request("GET", "/health-checks").content)

    def port_traffic(self, ports: Iterable[UUID]) -> list[PortTraffic]:
        """What passes on the ports' links; a port that is not there is left out. Raises NotAHypervisor."""
        response = self.request("POST", "/port-traffic:lookup", json={"ports": [str(port) for port in ports]})
        return _TRAFFIC.validate_json(response.content)

    def probe(
        self, targets: Iterable[ProbeTarget], count: int, interval_s: float, timeout_s: float
    ) -> list[ProbeResult]:
        """Send `count` echoes to each target, `interval_s` apart; a result each, in their order.

        An answer counts if it comes within `timeout_s` of its question. Blocks no longer than `Probes.bound_s` and
        PATIENCE_S. Raises CannotProbe, and ValidationError for what `Probes` does not allow.
        """
        asked = Probes(
            targets=list(targets),
            count=count,
            interval_ms=round(interval_s * 1000),
            timeout_ms=round(timeout_s * 1000),
        )
        timeout = httpx.Timeout(asked.bound_s + PATIENCE_S, connect=CONNECT_TIMEOUT_S)
        response = self.request("POST", "/probes", json=asked.model_dump(mode="json"), timeout=timeout)
        return _PROBED.validate_json(response.content)

    def observed(self) -> Observed:
        """Reverse path filters, and what became of packets: any node."""
        return Observed.model_validate_json(self.request("GET", "/observed").content)

    def disk(self, port: UUID) -> DiskState:
        """The port's disk: on shared storage the same from every node. A guest may end after its port was withdrawn."""
        return DiskState.model_validate_json(self.request("GET", f"/ports/{port}/disk").content)

    def archive_disk(self, port: UUID, url: str) -> DiskArchive:
        """Put the port's disk at `url`, a name of this stop alone; the disk stays, settled, until a guest starts on it.

        May be repeated, and must be after DiskBusy: it then joins in. Raises DiskInUse while the guest has not ended,
        DiskAbsent, DiskBusy, DiskStorage, ArchiveUrl, StoreUnreachable.
        """
        response = self.request("POST", f"/ports/{port}/disk:archive", json={"url": url}, timeout=TRANSFER_TIMEOUT_S)
        return DiskArchive.model_validate_json(response.content)

    def restore_disk(self, port: UUID, archive: DiskArchive) -> None:
        """Make the port's disk from its archive, before its guest starts. May be repeated, as `archive_disk`.

        Raises DiskExists, DiskBusy, DiskStorage, ArchiveUrl, ArchiveAbsent, ArchiveDiffers, StoreUnreachable.
        """
        body = archive.model_dump(mode="json")
        self.request("POST", f"/ports/{port}/disk:restore", json=body, timeout=TRANSFER_TIMEOUT_S)

    def discard_disk(self, port: UUID, url: str | None) -> None:
        """Remove the port's disk, if it holds what lies at `url`; None: whatever it holds, of a deleted instance.

        Raises DiskInUse, DiskNotSettled, DiskStorage.
        """
        self.request("POST", f"/ports/{port}/disk:discard", json={"url": url}, timeout=TRANSFER_TIMEOUT_S)

    def delete_archive(self, url: str) -> None:
        """Remove an archive; none there is no error. Raises ArchiveUrl, StoreUnreachable."""
        self.request("POST", "/archives:delete", json={"url": url}, timeout=TRANSFER_TIMEOUT_S)

    def changes(self, after: int, wait_s: float) -> Changes:
        """What happened since event `after`, waiting for something to happen; 0 asks for the present number."""
        query = {"after": after, "wait_ms": int(wait_s * 1000)}
        response = self.request("GET", "/changes", params=query, timeout=wait_s + PATIENCE_S)
        return Changes.model_validate_json(response.content)


class AsyncAgentClient:
    """The part of an agent that the poller hears, for asyncio."""

    def __init__(self, dial: Dial) -> None:
        self._http = httpx.AsyncClient(base_url=dial.url, timeout=dial.timeout_s, verify=dial.tls())
        self._token = dial.token
        self._node = dial.node

    async def state(self) -> State:
        return State.model_validate_json(await self._request("GET", "/state"))

    async def changes(self, after: int, wait_s: float) -> Changes:
        """See `AgentClient.changes`."""
        query = {"after": after, "wait_ms": int(wait_s * 1000)}
        answer = await self._request("GET", "/changes", params=query, timeout=wait_s + PATIENCE_S)
        return Changes.model_validate_json(answer)

    async def edge_routes(self, prefixes: Iterable[str]) -> list[EdgeRoute]:
        """See `AgentClient.edge_routes`."""
        body = {"prefixes": list(prefixes)}
        return _ROUTES.validate_json(await self._request("POST", "/edge-routes:lookup", json=body))

    async def health_checks(self) -> list[CheckState]:
        """See `AgentClient.health_checks`."""
        return _CHECKS.validate_json(await self._request("GET", "/health-checks"))

    async def _request(self, method: str, path: str, **kwargs: Any) -> bytes:
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            response = await self._http.request(method, f"/agent/v1{path}", headers=headers, **kwargs)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._http.base_url} does not answer: {error or type(error).__name__}") from error
        try:
            raise_problem(response)
        except DomainError as error:
            raise _typed(error) from error
        check_identity(response, self._node)
        return response.content

    async def close(self) -> None:
        await self._http.aclose()
