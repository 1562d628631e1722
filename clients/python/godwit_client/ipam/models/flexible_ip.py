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
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.attachment import Attachment
    from ..models.flexible_ip_labels import FlexibleIPLabels


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
        state (FlexibleIPState): Derived, never set: `attached` only when the nodes have read it back from their
            kernels.
        revision (int):
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
        interface_id (None | str | Unset): IPv6: the whole address a guest takes within the prefix; it stays with the
            prefix on moves.
        name (None | str | Unset):
        labels (FlexibleIPLabels | Unset):
        protected (bool | Unset):  Default: False.
        attachment (Attachment | None | Unset):
        next_attachment (Attachment | None | Unset): While `moving`: where it goes.
        quarantined_until (datetime.datetime | None | Unset):
    """

    id: UUID
    project: str
    zone: str
    pool: None | str
    carried: bool
    family: Family
    kind: FlexibleIPKind
    address: str
    state: FlexibleIPState
    revision: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    interface_id: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    labels: FlexibleIPLabels | Unset = UNSET
    protected: bool | Unset = False
    attachment: Attachment | None | Unset = UNSET
    next_attachment: Attachment | None | Unset = UNSET
    quarantined_until: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.attachment import Attachment  # noqa: PLC0415

        id = str(self.id)

        project = self.project

        zone = self.zone

        pool: None | str
        pool = self.pool

        carried = self.carried

        family = self.family.value

        kind = self.kind.value

        address = self.address

        state = self.state.value

        revision = self.revision

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        interface_id: None | str | Unset
        if isinstance(self.interface_id, Unset):
            interface_id = UNSET
        else:
            interface_id = self.interface_id

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        protected = self.protected

        attachment: dict[str, Any] | None | Unset
        if isinstance(self.attachment, Unset):
            attachment = UNSET
        elif isinstance(self.attachment, Attachment):
            attachment = self.attachment.to_dict()
        else:
            attachment = self.attachment

        next_attachment: dict[str, Any] | None | Unset
        if isinstance(self.next_attachment, Unset):
            next_attachment = UNSET
        elif isinstance(self.next_attachment, Attachment):
            next_attachment = self.next_attachment.to_dict()
        else:
            next_attachment = self.next_attachment

        quarantined_until: None | str | Unset
        if isinstance(self.quarantined_until, Unset):
            quarantined_until = UNSET
        elif isinstance(self.quarantined_until, datetime.datetime):
            quarantined_until = self.quarantined_until.isoformat()
        else:
            quarantined_until = self.quarantined_until

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
                "state": state,
                "revision": revision,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )
        if interface_id is not UNSET:
            field_dict["interface_id"] = interface_id
        if name is not UNSET:
            field_dict["name"] = name
        if labels is not UNSET:
            field_dict["labels"] = labels
        if protected is not UNSET:
            field_dict["protected"] = protected
        if attachment is not UNSET:
            field_dict["attachment"] = attachment
        if next_attachment is not UNSET:
            field_dict["next_attachment"] = next_attachment
        if quarantined_until is not UNSET:
            field_dict["quarantined_until"] = quarantined_until

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.attachment import Attachment  # noqa: PLC0415
        from ..models.flexible_ip_labels import FlexibleIPLabels  # noqa: PLC0415

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

        state = FlexibleIPState(d.pop("state"))

        revision = d.pop("revision")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        def _parse_interface_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        interface_id = _parse_interface_id(d.pop("interface_id", UNSET))

        def _parse_name(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        name = _parse_name(d.pop("name", UNSET))

        _labels = d.pop("labels", UNSET)
        labels: FlexibleIPLabels | Unset
        if isinstance(_labels, Unset):
            labels = UNSET
        else:
            labels = FlexibleIPLabels.from_dict(_labels)

        protected = d.pop("protected", UNSET)

        def _parse_attachment(data: object) -> Attachment | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                attachment_type_0 = Attachment.from_dict(data)

                return attachment_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Attachment | None | Unset, data)

        attachment = _parse_attachment(d.pop("attachment", UNSET))

        def _parse_next_attachment(data: object) -> Attachment | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                next_attachment_type_0 = Attachment.from_dict(data)

                return next_attachment_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Attachment | None | Unset, data)

        next_attachment = _parse_next_attachment(d.pop("next_attachment", UNSET))

        def _parse_quarantined_until(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                quarantined_until_type_0 = datetime.datetime.fromisoformat(data)

                return quarantined_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        quarantined_until = _parse_quarantined_until(d.pop("quarantined_until", UNSET))

        flexible_ip = cls(
            id=id,
            project=project,
            zone=zone,
            pool=pool,
            carried=carried,
            family=family,
            kind=kind,
            address=address,
            state=state,
            revision=revision,
            created_at=created_at,
            updated_at=updated_at,
            interface_id=interface_id,
            name=name,
            labels=labels,
            protected=protected,
            attachment=attachment,
            next_attachment=next_attachment,
            quarantined_until=quarantined_until,
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
