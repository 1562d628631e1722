from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.family import Family
from ...models.flexible_ip_page import FlexibleIPPage
from ...models.flexible_ip_state import FlexibleIPState
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    project: None | str | Unset = UNSET,
    zone: None | str | Unset = UNSET,
    family: Family | None | Unset = UNSET,
    pool: None | str | Unset = UNSET,
    state: FlexibleIPState | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    address: None | str | Unset = UNSET,
    target: None | str | Unset = UNSET,
    label: None | str | Unset = UNSET,
    ids: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_project: None | str | Unset
    if isinstance(project, Unset):
        json_project = UNSET
    else:
        json_project = project
    params["project"] = json_project

    json_zone: None | str | Unset
    if isinstance(zone, Unset):
        json_zone = UNSET
    else:
        json_zone = zone
    params["zone"] = json_zone

    json_family: None | str | Unset
    if isinstance(family, Unset):
        json_family = UNSET
    elif isinstance(family, Family):
        json_family = family.value
    else:
        json_family = family
    params["family"] = json_family

    json_pool: None | str | Unset
    if isinstance(pool, Unset):
        json_pool = UNSET
    else:
        json_pool = pool
    params["pool"] = json_pool

    json_state: None | str | Unset
    if isinstance(state, Unset):
        json_state = UNSET
    elif isinstance(state, FlexibleIPState):
        json_state = state.value
    else:
        json_state = state
    params["state"] = json_state

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

    json_address: None | str | Unset
    if isinstance(address, Unset):
        json_address = UNSET
    else:
        json_address = address
    params["address"] = json_address

    json_target: None | str | Unset
    if isinstance(target, Unset):
        json_target = UNSET
    else:
        json_target = target
    params["target"] = json_target

    json_label: None | str | Unset
    if isinstance(label, Unset):
        json_label = UNSET
    else:
        json_label = label
    params["label"] = json_label

    json_ids: None | str | Unset
    if isinstance(ids, Unset):
        json_ids = UNSET
    else:
        json_ids = ids
    params["ids"] = json_ids

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
        "url": "/ipam/v1/flexible-ips",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> FlexibleIPPage | Problem | None:
    if response.status_code == 200:
        response_200 = FlexibleIPPage.from_dict(response.json())

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


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[FlexibleIPPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    project: None | str | Unset = UNSET,
    zone: None | str | Unset = UNSET,
    family: Family | None | Unset = UNSET,
    pool: None | str | Unset = UNSET,
    state: FlexibleIPState | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    address: None | str | Unset = UNSET,
    target: None | str | Unset = UNSET,
    label: None | str | Unset = UNSET,
    ids: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[FlexibleIPPage | Problem]:
    """List flexible IPs

    Args:
        project (None | str | Unset):
        zone (None | str | Unset):
        family (Family | None | Unset):
        pool (None | str | Unset):
        state (FlexibleIPState | None | Unset):
        name (None | str | Unset):
        address (None | str | Unset):
        target (None | str | Unset):
        label (None | str | Unset):
        ids (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlexibleIPPage | Problem]
    """

    kwargs = _get_kwargs(
        project=project,
        zone=zone,
        family=family,
        pool=pool,
        state=state,
        name=name,
        address=address,
        target=target,
        label=label,
        ids=ids,
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
    project: None | str | Unset = UNSET,
    zone: None | str | Unset = UNSET,
    family: Family | None | Unset = UNSET,
    pool: None | str | Unset = UNSET,
    state: FlexibleIPState | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    address: None | str | Unset = UNSET,
    target: None | str | Unset = UNSET,
    label: None | str | Unset = UNSET,
    ids: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> FlexibleIPPage | Problem | None:
    """List flexible IPs

    Args:
        project (None | str | Unset):
        zone (None | str | Unset):
        family (Family | None | Unset):
        pool (None | str | Unset):
        state (FlexibleIPState | None | Unset):
        name (None | str | Unset):
        address (None | str | Unset):
        target (None | str | Unset):
        label (None | str | Unset):
        ids (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlexibleIPPage | Problem
    """

    return sync_detailed(
        client=client,
        project=project,
        zone=zone,
        family=family,
        pool=pool,
        state=state,
        name=name,
        address=address,
        target=target,
        label=label,
        ids=ids,
        limit=limit,
        cursor=cursor,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    project: None | str | Unset = UNSET,
    zone: None | str | Unset = UNSET,
    family: Family | None | Unset = UNSET,
    pool: None | str | Unset = UNSET,
    state: FlexibleIPState | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    address: None | str | Unset = UNSET,
    target: None | str | Unset = UNSET,
    label: None | str | Unset = UNSET,
    ids: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[FlexibleIPPage | Problem]:
    """List flexible IPs

    Args:
        project (None | str | Unset):
        zone (None | str | Unset):
        family (Family | None | Unset):
        pool (None | str | Unset):
        state (FlexibleIPState | None | Unset):
        name (None | str | Unset):
        address (None | str | Unset):
        target (None | str | Unset):
        label (None | str | Unset):
        ids (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlexibleIPPage | Problem]
    """

    kwargs = _get_kwargs(
        project=project,
        zone=zone,
        family=family,
        pool=pool,
        state=state,
        name=name,
        address=address,
        target=target,
        label=label,
        ids=ids,
        limit=limit,
        cursor=cursor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    project: None | str | Unset = UNSET,
    zone: None | str | Unset = UNSET,
    family: Family | None | Unset = UNSET,
    pool: None | str | Unset = UNSET,
    state: FlexibleIPState | None | Unset = UNSET,
    name: None | str | Unset = UNSET,
    address: None | str | Unset = UNSET,
    target: None | str | Unset = UNSET,
    label: None | str | Unset = UNSET,
    ids: None | str | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> FlexibleIPPage | Problem | None:
    """List flexible IPs

    Args:
        project (None | str | Unset):
        zone (None | str | Unset):
        family (Family | None | Unset):
        pool (None | str | Unset):
        state (FlexibleIPState | None | Unset):
        name (None | str | Unset):
        address (None | str | Unset):
        target (None | str | Unset):
        label (None | str | Unset):
        ids (None | str | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlexibleIPPage | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            project=project,
            zone=zone,
            family=family,
            pool=pool,
            state=state,
            name=name,
            address=address,
            target=target,
            label=label,
            ids=ids,
            limit=limit,
            cursor=cursor,
        )
    ).parsed
