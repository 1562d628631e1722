from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.page_conversion import PageConversion
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    zone: None | str | Unset = UNSET,
    validate_only: bool | Unset = False,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["idempotency-key"] = idempotency_key

    if not isinstance(if_match, Unset):
        headers["if-match"] = if_match

    params: dict[str, Any] = {}

    json_zone: None | str | Unset
    if isinstance(zone, Unset):
        json_zone = UNSET
    else:
        json_zone = zone
    params["zone"] = json_zone

    params["validate_only"] = validate_only

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
        "url": "/placement/v1/conversions",
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PageConversion | Problem | None:
    if response.status_code == 200:
        response_200 = PageConversion.from_dict(response.json())

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


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[PageConversion | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    zone: None | str | Unset = UNSET,
    validate_only: bool | Unset = False,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[PageConversion | Problem]:
    """List Conversions

     Newest first.

    Args:
        zone (None | str | Unset):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        limit (int | Unset):  Default: 100.
        cursor (None | str | Unset): `next_cursor` of the page before.
        idempotency_key (None | str | Unset): Makes a repeated request answer the same.
        if_match (None | str | Unset): The ETag the change is meant for.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PageConversion | Problem]
    """

    kwargs = _get_kwargs(
        zone=zone,
        validate_only=validate_only,
        limit=limit,
        cursor=cursor,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    zone: None | str | Unset = UNSET,
    validate_only: bool | Unset = False,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> PageConversion | Problem | None:
    """List Conversions

     Newest first.

    Args:
        zone (None | str | Unset):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        limit (int | Unset):  Default: 100.
        cursor (None | str | Unset): `next_cursor` of the page before.
        idempotency_key (None | str | Unset): Makes a repeated request answer the same.
        if_match (None | str | Unset): The ETag the change is meant for.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PageConversion | Problem
    """

    return sync_detailed(
        client=client,
        zone=zone,
        validate_only=validate_only,
        limit=limit,
        cursor=cursor,
        idempotency_key=idempotency_key,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    zone: None | str | Unset = UNSET,
    validate_only: bool | Unset = False,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[PageConversion | Problem]:
    """List Conversions

     Newest first.

    Args:
        zone (None | str | Unset):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        limit (int | Unset):  Default: 100.
        cursor (None | str | Unset): `next_cursor` of the page before.
        idempotency_key (None | str | Unset): Makes a repeated request answer the same.
        if_match (None | str | Unset): The ETag the change is meant for.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PageConversion | Problem]
    """

    kwargs = _get_kwargs(
        zone=zone,
        validate_only=validate_only,
        limit=limit,
        cursor=cursor,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    zone: None | str | Unset = UNSET,
    validate_only: bool | Unset = False,
    limit: int | Unset = 100,
    cursor: None | str | Unset = UNSET,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> PageConversion | Problem | None:
    """List Conversions

     Newest first.

    Args:
        zone (None | str | Unset):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        limit (int | Unset):  Default: 100.
        cursor (None | str | Unset): `next_cursor` of the page before.
        idempotency_key (None | str | Unset): Makes a repeated request answer the same.
        if_match (None | str | Unset): The ETag the change is meant for.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PageConversion | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            zone=zone,
            validate_only=validate_only,
            limit=limit,
            cursor=cursor,
            idempotency_key=idempotency_key,
            if_match=if_match,
        )
    ).parsed
