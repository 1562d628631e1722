from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.node_role import NodeRole
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.inventory import Inventory


T = TypeVar("T", bound="NodePut")


@_attrs_define
class NodePut:
    """Registers a node, or changes it. Name, zone and role are set once.

    Attributes:
        name (str):
        zone (str):
        role (NodeRole):
        agent_url (str):
        endpoint (str):
        endpoint_ipv6 (None | str | Unset):
        neighbours (list[str] | Unset): Its ends of its links to the edge; its endpoint, if none.
        private_prefix (None | str | Unset):
        legacy_prefix (None | str | Unset):
        inventories (list[Inventory] | Unset):
        traits (list[str] | Unset):
    """

    name: str
    zone: str
    role: NodeRole
    agent_url: str
    endpoint: str
    endpoint_ipv6: None | str | Unset = UNSET
    neighbours: list[str] | Unset = UNSET
    private_prefix: None | str | Unset = UNSET
    legacy_prefix: None | str | Unset = UNSET
    inventories: list[Inventory] | Unset = UNSET
    traits: list[str] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        zone = self.zone

        role = self.role.value

        agent_url = self.agent_url

        endpoint = self.endpoint

        endpoint_ipv6: None | str | Unset
        if isinstance(self.endpoint_ipv6, Unset):
            endpoint_ipv6 = UNSET
        else:
            endpoint_ipv6 = self.endpoint_ipv6

        neighbours: list[str] | Unset = UNSET
        if not isinstance(self.neighbours, Unset):
            neighbours = self.neighbours

        private_prefix: None | str | Unset
        if isinstance(self.private_prefix, Unset):
            private_prefix = UNSET
        else:
            private_prefix = self.private_prefix

        legacy_prefix: None | str | Unset
        if isinstance(self.legacy_prefix, Unset):
            legacy_prefix = UNSET
        else:
            legacy_prefix = self.legacy_prefix

        inventories: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.inventories, Unset):
            inventories = []
            for inventories_item_data in self.inventories:
                inventories_item = inventories_item_data.to_dict()
                inventories.append(inventories_item)

        traits: list[str] | Unset = UNSET
        if not isinstance(self.traits, Unset):
            traits = self.traits

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "zone": zone,
                "role": role,
                "agent_url": agent_url,
                "endpoint": endpoint,
            }
        )
        if endpoint_ipv6 is not UNSET:
            field_dict["endpoint_ipv6"] = endpoint_ipv6
        if neighbours is not UNSET:
            field_dict["neighbours"] = neighbours
        if private_prefix is not UNSET:
            field_dict["private_prefix"] = private_prefix
        if legacy_prefix is not UNSET:
            field_dict["legacy_prefix"] = legacy_prefix
        if inventories is not UNSET:
            field_dict["inventories"] = inventories
        if traits is not UNSET:
            field_dict["traits"] = traits

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.inventory import Inventory  # noqa: PLC0415

        d = dict(src_dict)
        name = d.pop("name")

        zone = d.pop("zone")

        role = NodeRole(d.pop("role"))

        agent_url = d.pop("agent_url")

        endpoint = d.pop("endpoint")

        def _parse_endpoint_ipv6(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        endpoint_ipv6 = _parse_endpoint_ipv6(d.pop("endpoint_ipv6", UNSET))

        neighbours = cast(list[str], d.pop("neighbours", UNSET))

        def _parse_private_prefix(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        private_prefix = _parse_private_prefix(d.pop("private_prefix", UNSET))

        def _parse_legacy_prefix(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        legacy_prefix = _parse_legacy_prefix(d.pop("legacy_prefix", UNSET))

        _inventories = d.pop("inventories", UNSET)
        inventories: list[Inventory] | Unset = UNSET
        if _inventories is not UNSET:
            inventories = []
            for inventories_item_data in _inventories:
                inventories_item = Inventory.from_dict(inventories_item_data)

                inventories.append(inventories_item)

        traits = cast(list[str], d.pop("traits", UNSET))

        node_put = cls(
            name=name,
            zone=zone,
            role=role,
            agent_url=agent_url,
            endpoint=endpoint,
            endpoint_ipv6=endpoint_ipv6,
            neighbours=neighbours,
            private_prefix=private_prefix,
            legacy_prefix=legacy_prefix,
            inventories=inventories,
            traits=traits,
        )

        return node_put
