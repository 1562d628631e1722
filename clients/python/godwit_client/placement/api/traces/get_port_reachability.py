from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.reachability import Reachability
from ...types import Response


def _get_kwargs(
    port_id: UUID,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/placement/v1/ports/{port_id}/reachability".format(
            port_id=quote(str(port_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Reachability | None:
    if response.status_code == 200:
        response_200 = Reachability.from_dict(response.json())

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
) -> Response[Problem | Reachability]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    port_id: UUID,
    *,
    client: AuthenticatedClient,
) -> Response[Problem | Reachability]:
    """Whether packets reach each address of a port, as its nodes' kernels are now

    Args:
        port_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Reachability]
    """

    kwargs = _get_kwargs(
        port_id=port_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    port_id: UUID,
    *,
    client: AuthenticatedClient,
) -> Problem | Reachability | None:
    """Whether packets reach each address of a port, as its nodes' kernels are now

    Args:
        port_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Reachability
    """

    return sync_detailed(
        port_id=port_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    port_id: UUID,
    *,
    client: AuthenticatedClient,
) -> Response[Problem | Reachability]:
    """Whether packets reach each address of a port, as its nodes' kernels are now

    Args:
        port_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Reachability]
    """

    kwargs = _get_kwargs(
        port_id=port_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    port_id: UUID,
    *,
    client: AuthenticatedClient,
) -> Problem | Reachability | None:
    """Whether packets reach each address of a port, as its nodes' kernels are now

    Args:
        port_id (UUID):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Reachability
    """

    return (
        await asyncio_detailed(
            port_id=port_id,
            client=client,
        )
    ).parsed
