from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.conversion_create import ConversionCreate
from ...models.conversion_plan import ConversionPlan
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: ConversionCreate,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    params: dict[str, Any] = {}

    params["validate_only"] = validate_only

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/placement/v1/conversions",
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ConversionPlan | Problem | None:
    if response.status_code == 200:
        response_200 = ConversionPlan.from_dict(response.json())

        return response_200

    if response.status_code == 201:
        response_201 = ConversionPlan.from_dict(response.json())

        return response_201

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
) -> Response[ConversionPlan | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ConversionCreate,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
) -> Response[ConversionPlan | Problem]:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan

    Args:
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        body (ConversionCreate): Plans a zone's conversion; nothing of the zone changes before it
            is started.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ConversionPlan | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ConversionCreate,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
) -> ConversionPlan | Problem | None:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan

    Args:
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        body (ConversionCreate): Plans a zone's conversion; nothing of the zone changes before it
            is started.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ConversionPlan | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ConversionCreate,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
) -> Response[ConversionPlan | Problem]:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan

    Args:
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        body (ConversionCreate): Plans a zone's conversion; nothing of the zone changes before it
            is started.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ConversionPlan | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ConversionCreate,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
) -> ConversionPlan | Problem | None:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan

    Args:
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        body (ConversionCreate): Plans a zone's conversion; nothing of the zone changes before it
            is started.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ConversionPlan | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            validate_only=validate_only,
            idempotency_key=idempotency_key,
        )
    ).parsed
