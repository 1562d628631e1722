from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.node_approve import NodeApprove
from ...models.operation import Operation
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    node_id: UUID,
    *,
    body: NodeApprove,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    if not isinstance(if_match, Unset):
        headers["If-Match"] = if_match

    params: dict[str, Any] = {}

    params["validate_only"] = validate_only

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/placement/v1/nodes/{node_id}:approve".format(
            node_id=quote(str(node_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Operation | Problem | None:
    if response.status_code == 200:
        response_200 = Operation.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

    if response.status_code == 412:
        response_412 = Problem.from_dict(response.json())

        return response_412

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())

        return response_422

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Operation | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    node_id: UUID,
    *,
    client: AuthenticatedClient,
    body: NodeApprove,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[Operation | Problem]:
    """Let go what a withdraw budget holds back: just the removals that the digest names

    Args:
        node_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (NodeApprove): `digest`: of the removals that are approved, as the node's `failures`
            name it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Operation | Problem]
    """

    kwargs = _get_kwargs(
        node_id=node_id,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    node_id: UUID,
    *,
    client: AuthenticatedClient,
    body: NodeApprove,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Operation | Problem | None:
    """Let go what a withdraw budget holds back: just the removals that the digest names

    Args:
        node_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (NodeApprove): `digest`: of the removals that are approved, as the node's `failures`
            name it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Operation | Problem
    """

    return sync_detailed(
        node_id=node_id,
        client=client,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    node_id: UUID,
    *,
    client: AuthenticatedClient,
    body: NodeApprove,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[Operation | Problem]:
    """Let go what a withdraw budget holds back: just the removals that the digest names

    Args:
        node_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (NodeApprove): `digest`: of the removals that are approved, as the node's `failures`
            name it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Operation | Problem]
    """

    kwargs = _get_kwargs(
        node_id=node_id,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    node_id: UUID,
    *,
    client: AuthenticatedClient,
    body: NodeApprove,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Operation | Problem | None:
    """Let go what a withdraw budget holds back: just the removals that the digest names

    Args:
        node_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (NodeApprove): `digest`: of the removals that are approved, as the node's `failures`
            name it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Operation | Problem
    """

    return (
        await asyncio_detailed(
            node_id=node_id,
            client=client,
            body=body,
            validate_only=validate_only,
            idempotency_key=idempotency_key,
            if_match=if_match,
        )
    ).parsed
