"""The ledger as its peers use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from common.errors import NotFound
from common.http import ServiceClient
from services.ipam import wire

T = TypeVar("T", bound=BaseModel)
BASE = "/ipam/v1"


def _json(body: BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json", by_alias=True, exclude_unset=True)


class IpamClient(ServiceClient):
    """Every method raises Unreachable or the DomainError that the ledger answered with."""

    # --- targets -----------------------------------------------------------------------------------------------------

    def register_target(self, kind: str, target_id: UUID, put: wire.TargetPut) -> wire.Target:
        """Make `target_id` known, or change its name and limits; repeating it changes nothing."""
        answer = self.request("PUT", f"{BASE}/targets/{kind}/{target_id}", json=_json(put))
        return wire.Target.model_validate_json(answer.content)

    def delete_target(self, kind: str, target_id: UUID) -> None:
        """Take everything off it and forget it; one that is not known is no error. Withdraw its addresses first."""
        try:
            self.request("DELETE", f"{BASE}/targets/{kind}/{target_id}")
        except NotFound as error:
            if error.code != "ipam.target.unknown":
                raise

    def address_set(self, kind: str, target_id: UUID) -> wire.AddressSet:
        answer = self.request("GET", f"{BASE}/address-sets/{kind}/{target_id}")
        return wire.AddressSet.model_validate_json(answer.content)

    def report_realized(self, kind: str, target_id: UUID, report: wire.Realized) -> wire.AddressSet:
        """The answer is the address set now: a revision above the reported one is new work."""
        answer = self.request("PUT", f"{BASE}/address-sets/{kind}/{target_id}/realized", json=_json(report))
        return wire.AddressSet.model_validate_json(answer.content)

    def lagging(self, kind: str) -> Iterator[wire.LaggingTarget]:
        """All targets of `kind` whose addresses are not realised, read page by page."""
        return self._pages("/address-sets:lagging", wire.LaggingTarget, kind=kind)

    # --- flexible IPs ------------------------------------------------------------------------------------------------

    def reserve(self, body: wire.FlexibleIPReserve, idempotency_key: str | None = None) -> wire.FlexibleIP:
        answer = self.request("POST", f"{BASE}/flexible-ips", json=_json(body), headers=_key(idempotency_key))
        return wire.FlexibleIP.model_validate_json(answer.content)

    def flexible_ips(self, ids: Iterable[UUID]) -> list[wire.FlexibleIP]:
        """Those of `ids` that exist."""
        wanted = [str(item) for item in ids]
        found: list[wire.FlexibleIP] = []
        for start in range(0, len(wanted), 100):
            found += self._pages("/flexible-ips", wire.FlexibleIP, ids=",".join(wanted[start : start + 100]))
        return found

    def flexible_ips_on(self, kind: str, target_id: UUID) -> Iterator[wire.FlexibleIP]:
        """Those attached to a target, leaving it or waiting for it."""
        return self._pages("/flexible-ips", wire.FlexibleIP, target=f"{kind}/{target_id}")

    def flexible_ips_at(self, prefix: IPv4Network | IPv6Network) -> Iterator[wire.FlexibleIP]:
        """The one that is `prefix`, if it is held or rests."""
        shown = str(prefix.network_address) if prefix.version == 4 else str(prefix)
        return self._pages("/flexible-ips", wire.FlexibleIP, address=shown)

    def release(self, flexible_ip_id: UUID) -> None:
        """Give an address back; repeating it changes nothing."""
        self.request("DELETE", f"{BASE}/flexible-ips/{flexible_ip_id}")

    def attach(self, flexible_ip_id: UUID, body: wire.Attach, idempotency_key: str | None = None) -> wire.Operation:
        path = f"{BASE}/flexible-ips/{flexible_ip_id}:attach"
        answer = self.request("POST", path, json=_json(body), headers=_key(idempotency_key))
        return wire.Operation.model_validate_json(answer.content)

    def fail_over(
        self, flexible_ip_id: UUID, body: wire.Failover, idempotency_key: str | None = None
    ) -> wire.Operation:
        """Repeating it while it is under way answers the same operation."""
        path = f"{BASE}/flexible-ips/{flexible_ip_id}:failover"
        answer = self.request("POST", path, json=_json(body), headers=_key(idempotency_key))
        return wire.Operation.model_validate_json(answer.content)

    def adopt(self, zone: str, prefixes: list[wire.CarriedPrefix]) -> list[wire.FlexibleIP]:
        """Make 1 to 500 legacy prefixes flexible IPs of their targets, all or none; repeating it changes nothing."""
        body = wire.Adopt(zone=zone, prefixes=prefixes)
        answer = self.request("POST", f"{BASE}/flexible-ips:adopt", json=_json(body))
        return wire.Adopted.model_validate_json(answer.content).items

    # --- supply ------------------------------------------------------------------------------------------------------

    def put_zone(self, name: str, put: wire.ZonePut) -> wire.Zone:
        answer = self.request("PUT", f"{BASE}/zones/{name}", json=_json(put))
        return wire.Zone.model_validate_json(answer.content)

    def pools(self, zone: str | None = None) -> Iterator[wire.Pool]:
        """Pools with their prefixes."""
        return self._pages("/pools", wire.Pool, **({"zone": zone} if zone is not None else {}))

    # --- plumbing ----------------------------------------------------------------------------------------------------

    def _pages(self, path: str, of: type[T], **filters: str) -> Iterator[T]:
        params = {"limit": "500", **filters}
        while True:
            page = self.request("GET", BASE + path, params=params).json()
            yield from (of.model_validate(item) for item in page["items"])
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
