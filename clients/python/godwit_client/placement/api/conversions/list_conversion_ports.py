from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.port_conversion_page import PortConversionPage
from ...models.port_state import PortState
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    conversion_id: UUID,
    *,
    state: None | PortState | Unset = UNSET,
    wave: int | None | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_state: None | str | Unset
    if isinstance(state, Unset):
        json_state = UNSET
    elif isinstance(state, PortState):
        json_state = state.value
    else:
        json_state = state
    params["state"] = json_state

    json_wave: int | None | Unset
    if isinstance(wave, Unset):
        json_wave = UNSET
    else:
        json_wave = wave
    params["wave"] = json_wave

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
        "url": "/placement/v1/conversions/{conversion_id}/ports".format(
            conversion_id=quote(str(conversion_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PortConversionPage | Problem | None:
    if response.status_code == 200:
        response_200 = PortConversionPage.from_dict(response.json())

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
) -> Response[PortConversionPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    conversion_id: UUID,
    *,
    client: AuthenticatedClient,
    state: None | PortState | Unset = UNSET,
    wave: int | None | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[PortConversionPage | Problem]:
    """List the ports of a conversion

    Args:
        conversion_id (UUID):
        state (None | PortState | Unset):
        wave (int | None | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PortConversionPage | Problem]
    """

    kwargs = _get_kwargs(
        conversion_id=conversion_id,
        state=state,
        wave=wave,
        limit=limit,
        cursor=cursor,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    conversion_id: UUID,
    *,
    client: AuthenticatedClient,
    state: None | PortState | Unset = UNSET,
    wave: int | None | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> PortConversionPage | Problem | None:
    """List the ports of a conversion

    Args:
        conversion_id (UUID):
        state (None | PortState | Unset):
        wave (int | None | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PortConversionPage | Problem
    """

    return sync_detailed(
        conversion_id=conversion_id,
        client=client,
        state=state,
        wave=wave,
        limit=limit,
        cursor=cursor,
    ).parsed


async def asyncio_detailed(
    conversion_id: UUID,
    *,
    client: AuthenticatedClient,
    state: None | PortState | Unset = UNSET,
    wave: int | None | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> Response[PortConversionPage | Problem]:
    """List the ports of a conversion

    Args:
        conversion_id (UUID):
        state (None | PortState | Unset):
        wave (int | None | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PortConversionPage | Problem]
    """

    kwargs = _get_kwargs(
        conversion_id=conversion_id,
        state=state,
        wave=wave,
        limit=limit,
        cursor=cursor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    conversion_id: UUID,
    *,
    client: AuthenticatedClient,
    state: None | PortState | Unset = UNSET,
    wave: int | None | Unset = UNSET,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
) -> PortConversionPage | Problem | None:
    """List the ports of a conversion

    Args:
        conversion_id (UUID):
        state (None | PortState | Unset):
        wave (int | None | Unset):
        limit (int | Unset): How many items at most. Default: 100.
        cursor (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PortConversionPage | Problem
    """

    return (
        await asyncio_detailed(
            conversion_id=conversion_id,
            client=client,
            state=state,
            wave=wave,
            limit=limit,
            cursor=cursor,
        )
    ).parsed
