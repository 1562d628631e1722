"""Flavours: the sizes that instances come in."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from common.db import Transaction, violated
from common.web import Page, Paging, check_revision
from services.placement import wire
from services.placement.errors import FlavorInUse, FlavorTaken, FlavorUnknown
from services.placement.model import Flavor
from services.placement.store import instances


def resources(flavor: Flavor) -> dict[str, int]:
    """What an instance of `flavor` takes of a node, in OpenStack Placement's classes and units."""
    return {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.memory_mb, "DISK_GB": flavor.disk_gb}


def create_flavor(tx: Transaction, body: wire.FlavorCreate) -> wire.Flavor:
    flavor = Flavor(**body.model_dump())
    tx.session.add(flavor)
    try:
        tx.session.flush()
    except IntegrityError as error:
        if violated(error) != "uq_flavor_name":
            raise
        raise FlavorTaken(f"there is a flavour {body.name!r} already") from error
    return flavor_wire(flavor)


def flavor_wire(flavor: Flavor) -> wire.Flavor:
    return wire.Flavor.model_validate(flavor, from_attributes=True)


def get_flavor(tx: Transaction, name: str) -> wire.Flavor:
    return flavor_wire(_flavor(tx, name))


def _flavor(tx: Transaction, name: str) -> Flavor:
    flavor = instances.flavor(tx, name)
    if flavor is None:
        raise FlavorUnknown(f"there is no flavour {name!r}")
    return flavor


def list_flavors(tx: Transaction, paging: Paging) -> Page[wire.Flavor]:
    return paging.page(
        [flavor_wire(item) for item in instances.flavors(tx, paging.limit + 1, paging.key(str))],
        key=lambda item: [item.name],
    )


def delete_flavor(tx: Transaction, name: str, expected: int | None) -> wire.Flavor:
    flavor = _flavor(tx, name)
    check_revision(expected, flavor.revision)
    if instances.flavor_in_use(tx, flavor.id):
        raise FlavorInUse(f"instances have the flavour {name!r}; delete them first")
    tx.session.delete(flavor)
    return flavor_wire(flavor)
