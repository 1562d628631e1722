from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.oldest import Oldest
    from ..models.pool_supply import PoolSupply


T = TypeVar("T", bound="LedgerStatus")


@_attrs_define
class LedgerStatus:
    """The ledger, as it is now.

    Attributes:
        version (str):
        schema_is (str): The database's Alembic revision.
        schema_wanted (str): That of the code.
        at (datetime.datetime): By the service's clock.
        broker (bool): Whether the broker answers.
        oldest (list[Oldest]):
        pools (list[PoolSupply]):
    """

    version: str
    schema_is: str
    schema_wanted: str
    at: datetime.datetime
    broker: bool
    oldest: list[Oldest]
    pools: list[PoolSupply]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        version = self.version

        schema_is = self.schema_is

        schema_wanted = self.schema_wanted

        at = self.at.isoformat()

        broker = self.broker

        oldest = []
        for oldest_item_data in self.oldest:
            oldest_item = oldest_item_data.to_dict()
            oldest.append(oldest_item)

        pools = []
        for pools_item_data in self.pools:
            pools_item = pools_item_data.to_dict()
            pools.append(pools_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "version": version,
                "schema_is": schema_is,
                "schema_wanted": schema_wanted,
                "at": at,
                "broker": broker,
                "oldest": oldest,
                "pools": pools,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.oldest import Oldest  # noqa: PLC0415
        from ..models.pool_supply import PoolSupply  # noqa: PLC0415

        d = dict(src_dict)
        version = d.pop("version")

        schema_is = d.pop("schema_is")

        schema_wanted = d.pop("schema_wanted")

        at = datetime.datetime.fromisoformat(d.pop("at"))

        broker = d.pop("broker")

        oldest = []
        _oldest = d.pop("oldest")
        for oldest_item_data in _oldest:
            oldest_item = Oldest.from_dict(oldest_item_data)

            oldest.append(oldest_item)

        pools = []
        _pools = d.pop("pools")
        for pools_item_data in _pools:
            pools_item = PoolSupply.from_dict(pools_item_data)

            pools.append(pools_item)

        ledger_status = cls(
            version=version,
            schema_is=schema_is,
            schema_wanted=schema_wanted,
            at=at,
            broker=broker,
            oldest=oldest,
            pools=pools,
        )

        ledger_status.additional_properties = d
        return ledger_status

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
