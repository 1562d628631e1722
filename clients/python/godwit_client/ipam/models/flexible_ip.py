from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.family import Family
from ..models.flexible_ip_kind import FlexibleIPKind
from ..models.flexible_ip_state import FlexibleIPState

if TYPE_CHECKING:
    from ..models.attachment import Attachment
    from ..models.candidate import Candidate
    from ..models.health_check import HealthCheck
    from ..models.labels import Labels


T = TypeVar("T", bound="FlexibleIP")


@_attrs_define
class FlexibleIP:
    """A customer's address: it belongs to a project, not to a product.

    Attributes:
        id (UUID):
        project (str):
        zone (str):
        pool (None | str): Null: it is carried and comes from no pool.
        carried (bool): A legacy IPv6 that a conversion adopted: it counts against no quota and no limit.
        family (Family):
        kind (FlexibleIPKind): `failover`: it may go to one of several candidates, of which one is active.
        address (str): An IPv4 address, or an IPv6 prefix.
        interface_id (None | str): IPv6: the whole address a guest takes within the prefix; it stays with the prefix on
            moves.
        name (None | str):
        labels (Labels): What people file an address under; lists are narrowed by one.
        protected (bool): It cannot be released.
        state (FlexibleIPState): Derived, never set: `attached` only when the nodes have read it back from their
            kernels.
        attachment (Attachment | None):
        next_attachment (Attachment | None): While `moving`: where it goes.
        candidates (list[Candidate]): Of a failover address; the best first.
        health_check (HealthCheck | None):
        frozen_since (datetime.datetime | None): It failed over by health 5 times within 180 s, and does not again until
            `:thaw`.
        quarantined_until (datetime.datetime | None):
        revision (int):
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
    """

    id: UUID
    project: str
    zone: str
    pool: None | str
    carried: bool
    family: Family
    kind: FlexibleIPKind
    address: str
    interface_id: None | str
    name: None | str
    labels: Labels
    protected: bool
    state: FlexibleIPState
    attachment: Attachment | None
    next_attachment: Attachment | None
    candidates: list[Candidate]
    health_check: HealthCheck | None
    frozen_since: datetime.datetime | None
    quarantined_until: datetime.datetime | None
    revision: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.attachment import Attachment  # noqa: PLC0415
        from ..models.health_check import HealthCheck  # noqa: PLC0415

        id = str(self.id)

        project = self.project

        zone = self.zone

        pool: None | str
        pool = self.pool

        carried = self.carried

        family = self.family.value

        kind = self.kind.value

        address = self.address

        interface_id: None | str
        interface_id = self.interface_id

        name: None | str
        name = self.name

        labels = self.labels.to_dict()

        protected = self.protected

        state = self.state.value

        attachment: dict[str, Any] | None
        if isinstance(self.attachment, Attachment):
            attachment = self.attachment.to_dict()
        else:
            attachment = self.attachment

        next_attachment: dict[str, Any] | None
        if isinstance(self.next_attachment, Attachment):
            next_attachment = self.next_attachment.to_dict()
        else:
            next_attachment = self.next_attachment

        candidates = []
        for candidates_item_data in self.candidates:
            candidates_item = candidates_item_data.to_dict()
            candidates.append(candidates_item)

        health_check: dict[str, Any] | None
        if isinstance(self.health_check, HealthCheck):
            health_check = self.health_check.to_dict()
        else:
            health_check = self.health_check

        frozen_since: None | str
        if isinstance(self.frozen_since, datetime.datetime):
            frozen_since = self.frozen_since.isoformat()
        else:
            frozen_since = self.frozen_since

        quarantined_until: None | str
        if isinstance(self.quarantined_until, datetime.datetime):
            quarantined_until = self.quarantined_until.isoformat()
        else:
            quarantined_until = self.quarantined_until

        revision = self.revision

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "project": project,
                "zone": zone,
                "pool": pool,
                "carried": carried,
                "family": family,
                "kind": kind,
                "address": address,
                "interface_id": interface_id,
                "name": name,
                "labels": labels,
                "protected": protected,
                "state": state,
                "attachment": attachment,
                "next_attachment": next_attachment,
                "candidates": candidates,
                "health_check": health_check,
                "frozen_since": frozen_since,
                "quarantined_until": quarantined_until,
                "revision": revision,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.attachment import Attachment  # noqa: PLC0415
        from ..models.candidate import Candidate  # noqa: PLC0415
        from ..models.health_check import HealthCheck  # noqa: PLC0415
        from ..models.labels import Labels  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        project = d.pop("project")

        zone = d.pop("zone")

        def _parse_pool(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        pool = _parse_pool(d.pop("pool"))

        carried = d.pop("carried")

        family = Family(d.pop("family"))

        kind = FlexibleIPKind(d.pop("kind"))

        address = d.pop("address")

        def _parse_interface_id(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        interface_id = _parse_interface_id(d.pop("interface_id"))

        def _parse_name(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        name = _parse_name(d.pop("name"))

        labels = Labels.from_dict(d.pop("labels"))

        protected = d.pop("protected")

        state = FlexibleIPState(d.pop("state"))

        def _parse_attachment(data: object) -> Attachment | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                attachment_type_0 = Attachment.from_dict(data)

                return attachment_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Attachment | None, data)

        attachment = _parse_attachment(d.pop("attachment"))

        def _parse_next_attachment(data: object) -> Attachment | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                next_attachment_type_0 = Attachment.from_dict(data)

                return next_attachment_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Attachment | None, data)

        next_attachment = _parse_next_attachment(d.pop("next_attachment"))

        candidates = []
        _candidates = d.pop("candidates")
        for candidates_item_data in _candidates:
            candidates_item = Candidate.from_dict(candidates_item_data)

            candidates.append(candidates_item)

        def _parse_health_check(data: object) -> HealthCheck | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                health_check_type_0 = HealthCheck.from_dict(data)

                return health_check_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(HealthCheck | None, data)

        health_check = _parse_health_check(d.pop("health_check"))

        def _parse_frozen_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                frozen_since_type_0 = datetime.datetime.fromisoformat(data)

                return frozen_since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        frozen_since = _parse_frozen_since(d.pop("frozen_since"))

        def _parse_quarantined_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                quarantined_until_type_0 = datetime.datetime.fromisoformat(data)

                return quarantined_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        quarantined_until = _parse_quarantined_until(d.pop("quarantined_until"))

        revision = d.pop("revision")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        flexible_ip = cls(
            id=id,
            project=project,
            zone=zone,
            pool=pool,
            carried=carried,
            family=family,
            kind=kind,
            address=address,
            interface_id=interface_id,
            name=name,
            labels=labels,
            protected=protected,
            state=state,
            attachment=attachment,
            next_attachment=next_attachment,
            candidates=candidates,
            health_check=health_check,
            frozen_since=frozen_since,
            quarantined_until=quarantined_until,
            revision=revision,
            created_at=created_at,
            updated_at=updated_at,
        )

        flexible_ip.additional_properties = d
        return flexible_ip

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
