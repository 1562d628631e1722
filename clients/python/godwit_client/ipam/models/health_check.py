from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.health_protocol import HealthProtocol
from ..types import UNSET, Unset

T = TypeVar("T", bound="HealthCheck")


@_attrs_define
class HealthCheck:
    """How another node than its holder's finds a failover address down: `threshold` probes in a row unanswered.

    Attributes:
        protocol (HealthProtocol): `icmp`: it answers an echo request; `tcp`: it accepts a connection.
        port (int | None | Unset): For `tcp`, and only for that.
        interval_ms (int | Unset):  Default: 200.
        threshold (int | Unset):  Default: 3.
        hold_down_s (int | Unset): How long no failover by health follows another: the next holder's time to start.
            Default: 10.
    """

    protocol: HealthProtocol
    port: int | None | Unset = UNSET
    interval_ms: int | Unset = 200
    threshold: int | Unset = 3
    hold_down_s: int | Unset = 10

    def to_dict(self) -> dict[str, Any]:
        protocol = self.protocol.value

        port: int | None | Unset
        if isinstance(self.port, Unset):
            port = UNSET
        else:
            port = self.port

        interval_ms = self.interval_ms

        threshold = self.threshold

        hold_down_s = self.hold_down_s

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "protocol": protocol,
            }
        )
        if port is not UNSET:
            field_dict["port"] = port
        if interval_ms is not UNSET:
            field_dict["interval_ms"] = interval_ms
        if threshold is not UNSET:
            field_dict["threshold"] = threshold
        if hold_down_s is not UNSET:
            field_dict["hold_down_s"] = hold_down_s

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        protocol = HealthProtocol(d.pop("protocol"))

        def _parse_port(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        port = _parse_port(d.pop("port", UNSET))

        interval_ms = d.pop("interval_ms", UNSET)

        threshold = d.pop("threshold", UNSET)

        hold_down_s = d.pop("hold_down_s", UNSET)

        health_check = cls(
            protocol=protocol,
            port=port,
            interval_ms=interval_ms,
            threshold=threshold,
            hold_down_s=hold_down_s,
        )

        return health_check
