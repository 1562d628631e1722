from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.admin_state import AdminState
from ..models.condition import Condition
from ..models.node_role import NodeRole

if TYPE_CHECKING:
    from ..models.fence import Fence
    from ..models.inventory import Inventory
    from ..models.resources import Resources


T = TypeVar("T", bound="Node")


@_attrs_define
class Node:
    """A machine with a netagent.

    Attributes:
        id (UUID):
        name (str):
        zone (str):
        role (NodeRole):
        admin_state (AdminState): What people want of a node. `disabled`: it takes no more instances; `draining`,
            `drained`: nor keeps any.
        condition (Condition): What the controller sees of a node: derived from its last heartbeat.
        fabric (Condition | None): As its edges see it; null: they do not say.
        fence (Fence | None): Asked for: the edges are to hold it apart.
        fenced (bool): Read back: the edges hold it apart, and it counts as withdrawn.
        operation (None | str): The Operation that is changing it as a whole.
        agent_url (str):
        endpoint (str): The node's address in the fabric.
        endpoint_ipv6 (None | str): The same in IPv6: the next hop of what it announces.
        neighbours (list[str]): Its ends of its links to the edge.
        private_prefix (None | str): Node-bound IPv4 of its NAT guests.
        legacy_prefix (None | str): Node-bound IPv6 of its NAT guests: it changes on moves.
        inventories (list[Inventory]):
        used (Resources): How much of each resource class, in OpenStack Placement's classes and units.
        traits (list[str]):
        instances (int):
        generation (int): Version of what the node must hold.
        applied_generation (int): Version that its agent last confirmed; its kernel holds that, but for `failures`.
        failures (list[str]): Entries its kernel refused, in words.
        seen_at (datetime.datetime | None): When its agent last answered.
        revision (int):
    """

    id: UUID
    name: str
    zone: str
    role: NodeRole
    admin_state: AdminState
    condition: Condition
    fabric: Condition | None
    fence: Fence | None
    fenced: bool
    operation: None | str
    agent_url: str
    endpoint: str
    endpoint_ipv6: None | str
    neighbours: list[str]
    private_prefix: None | str
    legacy_prefix: None | str
    inventories: list[Inventory]
    used: Resources
    traits: list[str]
    instances: int
    generation: int
    applied_generation: int
    failures: list[str]
    seen_at: datetime.datetime | None
    revision: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.fence import Fence  # noqa: PLC0415

        id = str(self.id)

        name = self.name

        zone = self.zone

        role = self.role.value

        admin_state = self.admin_state.value

        condition = self.condition.value

        fabric: None | str
        if isinstance(self.fabric, Condition):
            fabric = self.fabric.value
        else:
            fabric = self.fabric

        fence: dict[str, Any] | None
        if isinstance(self.fence, Fence):
            fence = self.fence.to_dict()
        else:
            fence = self.fence

        fenced = self.fenced

        operation: None | str
        operation = self.operation

        agent_url = self.agent_url

        endpoint = self.endpoint

        endpoint_ipv6: None | str
        endpoint_ipv6 = self.endpoint_ipv6

        neighbours = self.neighbours

        private_prefix: None | str
        private_prefix = self.private_prefix

        legacy_prefix: None | str
        legacy_prefix = self.legacy_prefix

        inventories = []
        for inventories_item_data in self.inventories:
            inventories_item = inventories_item_data.to_dict()
            inventories.append(inventories_item)

        used = self.used.to_dict()

        traits = self.traits

        instances = self.instances

        generation = self.generation

        applied_generation = self.applied_generation

        failures = self.failures

        seen_at: None | str
        if isinstance(self.seen_at, datetime.datetime):
            seen_at = self.seen_at.isoformat()
        else:
            seen_at = self.seen_at

        revision = self.revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "zone": zone,
                "role": role,
                "admin_state": admin_state,
                "condition": condition,
                "fabric": fabric,
                "fence": fence,
                "fenced": fenced,
                "operation": operation,
                "agent_url": agent_url,
                "endpoint": endpoint,
                "endpoint_ipv6": endpoint_ipv6,
                "neighbours": neighbours,
                "private_prefix": private_prefix,
                "legacy_prefix": legacy_prefix,
                "inventories": inventories,
                "used": used,
                "traits": traits,
                "instances": instances,
                "generation": generation,
                "applied_generation": applied_generation,
                "failures": failures,
                "seen_at": seen_at,
                "revision": revision,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.fence import Fence  # noqa: PLC0415
        from ..models.inventory import Inventory  # noqa: PLC0415
        from ..models.resources import Resources  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        zone = d.pop("zone")

        role = NodeRole(d.pop("role"))

        admin_state = AdminState(d.pop("admin_state"))

        condition = Condition(d.pop("condition"))

        def _parse_fabric(data: object) -> Condition | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                fabric_type_0 = Condition(data)

                return fabric_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Condition | None, data)

        fabric = _parse_fabric(d.pop("fabric"))

        def _parse_fence(data: object) -> Fence | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                fence_type_0 = Fence.from_dict(data)

                return fence_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Fence | None, data)

        fence = _parse_fence(d.pop("fence"))

        fenced = d.pop("fenced")

        def _parse_operation(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        operation = _parse_operation(d.pop("operation"))

        agent_url = d.pop("agent_url")

        endpoint = d.pop("endpoint")

        def _parse_endpoint_ipv6(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        endpoint_ipv6 = _parse_endpoint_ipv6(d.pop("endpoint_ipv6"))

        neighbours = cast(list[str], d.pop("neighbours"))

        def _parse_private_prefix(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        private_prefix = _parse_private_prefix(d.pop("private_prefix"))

        def _parse_legacy_prefix(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        legacy_prefix = _parse_legacy_prefix(d.pop("legacy_prefix"))

        inventories = []
        _inventories = d.pop("inventories")
        for inventories_item_data in _inventories:
            inventories_item = Inventory.from_dict(inventories_item_data)

            inventories.append(inventories_item)

        used = Resources.from_dict(d.pop("used"))

        traits = cast(list[str], d.pop("traits"))

        instances = d.pop("instances")

        generation = d.pop("generation")

        applied_generation = d.pop("applied_generation")

        failures = cast(list[str], d.pop("failures"))

        def _parse_seen_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                seen_at_type_0 = datetime.datetime.fromisoformat(data)

                return seen_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        seen_at = _parse_seen_at(d.pop("seen_at"))

        revision = d.pop("revision")

        node = cls(
            id=id,
            name=name,
            zone=zone,
            role=role,
            admin_state=admin_state,
            condition=condition,
            fabric=fabric,
            fence=fence,
            fenced=fenced,
            operation=operation,
            agent_url=agent_url,
            endpoint=endpoint,
            endpoint_ipv6=endpoint_ipv6,
            neighbours=neighbours,
            private_prefix=private_prefix,
            legacy_prefix=legacy_prefix,
            inventories=inventories,
            used=used,
            traits=traits,
            instances=instances,
            generation=generation,
            applied_generation=applied_generation,
            failures=failures,
            seen_at=seen_at,
            revision=revision,
        )

        node.additional_properties = d
        return node

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
