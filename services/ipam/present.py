"""From rows to what the API answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from services.ipam import addressing, model, wire


def zone(row: model.Zone) -> wire.Zone:
    return wire.Zone(name=row.name, region=row.region, accepts_regional=row.accepts_regional, revision=row.revision)


def prefix(row: model.Prefix, pool: model.Pool) -> wire.Prefix:
    return wire.Prefix(id=row.id, pool=pool.name, cidr=row.cidr, created_at=row.created_at)


def pool(row: model.Pool) -> wire.Pool:
    return wire.Pool(
        id=row.id,
        name=row.name,
        zone=row.zone,
        family=wire.Family(row.family),
        prefix_length=row.prefix_length,
        quarantine_seconds=row.quarantine_seconds,
        prefixes=[prefix(item, row) for item in row.prefixes],
        revision=row.revision,
    )


def quota(row: model.Quota) -> wire.Quota:
    return wire.Quota(
        project=row.project, family=wire.Family(row.family), limit=row.granted, used=row.used, revision=row.revision
    )


def attachment(row: model.Attachment | None) -> wire.Attachment | None:
    if row is None:
        return None
    return wire.Attachment(target=row.ref, role=row.role, attached_at=row.created_at)


def candidates(row: model.FlexibleIP, active: model.Attachment | None) -> list[wire.Candidate]:
    return [
        wire.Candidate(target=item.ref, priority=item.priority, active=active is not None and active.serves(item.ref))
        for item in row.candidates
    ]


def health_check(row: model.FlexibleIP) -> wire.HealthCheck | None:
    return wire.HealthCheck.model_validate(row.health_check) if row.health_check is not None else None


def flexible_ip(row: model.FlexibleIP) -> wire.FlexibleIP:
    return wire.FlexibleIP(
        id=row.id,
        project=row.project,
        zone=row.zone,
        pool=row.pool.name if row.pool else None,
        carried=row.carried,
        family=wire.Family(row.family),
        kind=wire.FlexibleIPKind(row.kind),
        address=addressing.shown(row.address),
        interface_id=row.interface_id,
        name=row.name,
        labels=wire.Labels(row.labels),
        protected=row.protected,
        state=row.state,
        attachment=attachment(row.present),
        next_attachment=attachment(row.waiting),
        candidates=candidates(row, row.active),
        health_check=health_check(row),
        frozen_since=row.frozen_since,
        quarantined_until=row.quarantined_until,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def target(row: model.Target) -> wire.Target:
    return wire.Target(
        kind=row.kind,
        id=row.id,
        project=row.project,
        zone=row.zone,
        name=row.name,
        limit_ipv4=row.limit_ipv4,
        limit_ipv6=row.limit_ipv6,
        revision=row.revision,
    )


def address_set(row: model.Target, attachments: Iterable[model.Attachment]) -> wire.AddressSet:
    return wire.AddressSet(
        target=row.ref,
        project=row.project,
        zone=row.zone,
        addresses=[
            wire.TargetAddress(
                flexible_ip=item.flexible_ip_id,
                prefix=item.flexible_ip.address,
                host=addressing.host(item.flexible_ip.address, item.flexible_ip.interface_id),
                role=item.role,
                carried=item.flexible_ip.carried,
                candidates=candidates(item.flexible_ip, item),
                health_check=health_check(item.flexible_ip),
            )
            for item in attachments
            if item.listed_at(row.addresses_revision)
        ],
        revision=row.addresses_revision,
        realized_revision=row.realized_revision,
    )


def lagging(row: model.Target) -> wire.LaggingTarget:
    return wire.LaggingTarget(target=row.ref, revision=row.addresses_revision, realized_revision=row.realized_revision)


def holding(row: model.Holding) -> wire.Holding:
    target = None
    if row.target_kind is not None and row.target_id is not None:
        target = wire.TargetRef(kind=row.target_kind, id=row.target_id)
    since, until = row.held_during.lower, row.held_during.upper
    if since is None:
        raise ValueError(f"holding {row.id} has no beginning")
    return wire.Holding(
        address=addressing.shown(row.address), project=row.project, target=target, since=since, until=until
    )


def audit(row: model.Audit) -> wire.AuditRecord:
    return wire.AuditRecord(
        number=row.number,
        address=addressing.shown(row.address),
        at=row.at,
        actor=row.actor,
        request_id=row.request_id,
        action=row.action,
        before=wire.Facts(row.before) if row.before is not None else None,
        after=wire.Facts(row.after) if row.after is not None else None,
        previous=row.previous,
        hash=row.hash,
    )


def operation(row: model.Operation) -> wire.Operation:
    return wire.Operation.model_validate(row)
