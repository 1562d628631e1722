from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.node_page import NodePage
from ...models.node_role import NodeRole
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    zone: None | str | Unset = UNSET,
    role: NodeRole | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_zone: None | str | Unset
    if isinstance(zone, Unset):
        json_zone = UNSET
    else:
        json_zone = zone
    params["zone"] = json_zone

    json_role: None | str | Unset
    if isinstance(role, Unset):
        json_role = UNSET
    elif isinstance(role, NodeRole):
        json_role = role.value
    else:
        json_role = role
    params["role"] = json_role

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

    params["limit"] = limit

    json_cursor: None | str | Unset
    if isinstance(cursor, Unset):
        json_cursor = UNSET
    else:
        json_cursor = cursor
    params["cursor"] = json_cursor

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/placement/v1/nodes",
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> NodePage | Problem | None:
    if response.status_code == 200:
        response_200 = NodePage.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[NodePage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    zone: None | str | Unset = UNSET,
    role: NodeRole | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[NodePage | Problem]:
    """List the nodes

    Args:
        zone (None | str | Unset):
        role (NodeRole | None | Unset):
        name (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NodePage | Problem]
    """

    kwargs = _get_kwargs(
        zone=zone,
        role=role,
        name=name,
        limit=limit,
        cursor=cursor,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    zone: None | str | Unset = UNSET,
    role: NodeRole | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> NodePage | Problem | None:
    """List the nodes

    Args:
        zone (None | str | Unset):
        role (NodeRole | None | Unset):
        name (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NodePage | Problem
    """

    return sync_detailed(
        client=client,
        zone=zone,
        role=role,
        name=name,
        limit=limit,
        cursor=cursor,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    zone: None | str | Unset = UNSET,
    role: NodeRole | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[NodePage | Problem]:
    """List the nodes

    Args:
        zone (None | str | Unset):
        role (NodeRole | None | Unset):
        name (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NodePage | Problem]
    """

    kwargs = _get_kwargs(
        zone=zone,
        role=role,
        name=name,
        limit=limit,
        cursor=cursor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    zone: None | str | Unset = UNSET,
    role: NodeRole | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> NodePage | Problem | None:
    """List the nodes

    Args:
        zone (None | str | Unset):
        role (NodeRole | None | Unset):
        name (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NodePage | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            zone=zone,
            role=role,
            name=name,
            limit=limit,
            cursor=cursor,
        )
    ).parsed
