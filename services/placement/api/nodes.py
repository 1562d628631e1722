"""Machines with an agent."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from common.web import Page, PagingDep, refuses, resource
from services.placement import wire
from services.placement.api.calls import NameFilter, Operator, OperatorReads, ZoneFilter
from services.placement.errors import (
    NodeBusy,
    NodeEdge,
    NodeFenced,
    NodeImmutable,
    NodeInvalid,
    NodeLocalDisk,
    NodeNoRoom,
    NodeNotFenced,
    NodeNotHypervisor,
    NodeTaken,
    NodeUnknown,
    PrefixInUse,
    PrefixOverlap,
    WithdrawalChanged,
    ZoneUnknown,
)
from services.placement.service import nodes

router = APIRouter()


@router.put(
    "/nodes/{node_id}",
    operation_id="putNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(ZoneUnknown, NodeInvalid, NodeImmutable, NodeTaken, PrefixOverlap, PrefixInUse),
)
def put_node(node_id: UUID, body: wire.NodePut, call: Operator) -> Response:
    """Register a node, or change what may change."""
    return call.run(lambda tx: nodes.put_node(tx, node_id, body, call.expected_revision))


@router.get("/nodes", operation_id="listNodes", tags=["nodes"])
def list_nodes(
    call: OperatorReads,
    paging: PagingDep,
    zone: ZoneFilter = None,
    role: Annotated[wire.NodeRole | None, Query(description="Only in this role.")] = None,
    name: NameFilter = None,
) -> Page[wire.Node]:
    """List the nodes."""
    return call.read(lambda tx: nodes.list_nodes(tx, paging, zone, role, name))


@router.get(
    "/nodes/{node_id}",
    operation_id="getNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown),
)
def get_node(node_id: UUID, call: OperatorReads) -> Response:
    """Read a node."""
    return resource(call.read(lambda tx: nodes.get_node(tx, node_id)))


@router.patch(
    "/nodes/{node_id}",
    operation_id="updateNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown, NodeInvalid, NodeBusy),
)
def update_node(node_id: UUID, body: wire.NodeUpdate, call: Operator) -> Response:
    """Enable or disable scheduling on a node; what runs there stays."""
    return call.run(lambda tx: nodes.update_node(tx, node_id, body, call.expected_revision))


@router.get(
    "/nodes/{node_id}/allocations",
    operation_id="listAllocations",
    tags=["nodes"],
    responses=refuses(NodeUnknown),
)
def list_allocations(node_id: UUID, call: OperatorReads, paging: PagingDep) -> Page[wire.Allocation]:
    """List what is held of a node, consumer by consumer."""
    return call.read(lambda tx: nodes.list_allocations(tx, node_id, paging))


@router.post(
    "/nodes/{node_id}:fence",
    operation_id="fenceNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeEdge, NodeFenced, NodeBusy),
)
def fence_node(node_id: UUID, body: wire.NodeFence, call: Operator) -> Response:
    """Have the edges hold a dead node apart; what it announced counts as withdrawn once they do."""
    return call.run(lambda tx: nodes.fence(tx, call.principal, node_id, body, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:unfence",
    operation_id="unfenceNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotFenced, NodeBusy),
)
def unfence_node(node_id: UUID, call: Operator) -> Response:
    """Let a node in again, once it has read back that it holds what is its, and nothing else."""
    return call.run(lambda tx: nodes.unfence(tx, call.principal, node_id, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:evacuate",
    operation_id="evacuateNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotHypervisor, NodeNotFenced, NodeLocalDisk, NodeBusy),
)
def evacuate_node(node_id: UUID, call: Operator) -> Response:
    """Start every instance of a fenced node elsewhere, its addresses kept."""
    return call.run(lambda tx: nodes.evacuate(tx, call.principal, node_id, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:drain",
    operation_id="drainNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotHypervisor, NodeFenced, NodeLocalDisk, NodeNoRoom, NodeBusy),
)
def drain_node(node_id: UUID, body: wire.NodeDrain, call: Operator) -> Response:
    """Move every running instance of a node elsewhere, a few at a time; it takes no more."""
    return call.run(lambda tx: nodes.drain(tx, call.principal, node_id, body, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:undrain",
    operation_id="undrainNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown, NodeFenced, NodeBusy),
)
def undrain_node(node_id: UUID, call: Operator) -> Response:
    """Let a node take instances again; a drain that goes on ends here."""
    return call.run(lambda tx: nodes.undrain(tx, node_id, call.expected_revision))


@router.post(
    "/nodes/{node_id}:approve",
    operation_id="approveWithdrawal",
    tags=["nodes"],
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, WithdrawalChanged),
)
def approve_withdrawal(node_id: UUID, body: wire.NodeApprove, call: Operator) -> Response:
    """Let go what a withdraw budget holds back: just the removals that the digest names."""
    return call.run(lambda tx: nodes.approve(tx, call.principal, node_id, body.digest, call.expected_revision))
