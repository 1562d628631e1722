from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.flexible_ip import FlexibleIP
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    flexible_ip_id: UUID,
    *,
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
        "url": "/ipam/v1/flexible-ips/{flexible_ip_id}:thaw".format(
            flexible_ip_id=quote(str(flexible_ip_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> FlexibleIP | Problem | None:
    if response.status_code == 200:
        response_200 = FlexibleIP.from_dict(response.json())

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
) -> Response[FlexibleIP | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    flexible_ip_id: UUID,
    *,
    client: AuthenticatedClient,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[FlexibleIP | Problem]:
    """Let an address that failed over by health too often do so again

    Args:
        flexible_ip_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlexibleIP | Problem]
    """

    kwargs = _get_kwargs(
        flexible_ip_id=flexible_ip_id,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    flexible_ip_id: UUID,
    *,
    client: AuthenticatedClient,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> FlexibleIP | Problem | None:
    """Let an address that failed over by health too often do so again

    Args:
        flexible_ip_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlexibleIP | Problem
    """

    return sync_detailed(
        flexible_ip_id=flexible_ip_id,
        client=client,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    flexible_ip_id: UUID,
    *,
    client: AuthenticatedClient,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[FlexibleIP | Problem]:
    """Let an address that failed over by health too often do so again

    Args:
        flexible_ip_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlexibleIP | Problem]
    """

    kwargs = _get_kwargs(
        flexible_ip_id=flexible_ip_id,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    flexible_ip_id: UUID,
    *,
    client: AuthenticatedClient,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> FlexibleIP | Problem | None:
    """Let an address that failed over by health too often do so again

    Args:
        flexible_ip_id (UUID):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlexibleIP | Problem
    """

    return (
        await asyncio_detailed(
            flexible_ip_id=flexible_ip_id,
            client=client,
            validate_only=validate_only,
            idempotency_key=idempotency_key,
            if_match=if_match,
        )
    ).parsed
