from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.family import Family
from ...models.problem import Problem
from ...models.quota import Quota
from ...models.quota_put import QuotaPut
from ...types import UNSET, Response, Unset


def _get_kwargs(
    project: str,
    family: Family,
    *,
    body: QuotaPut,
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
        "method": "put",
        "url": "/ipam/v1/quotas/{project}/{family}".format(
            project=quote(str(project), safe=""),
            family=quote(str(family), safe=""),
        ),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Quota | None:
    if response.status_code == 200:
        response_200 = Quota.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Quota]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    project: str,
    family: Family,
    *,
    client: AuthenticatedClient,
    body: QuotaPut,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[Problem | Quota]:
    """Grant a project a number of addresses of one family

    Args:
        project (str): The id of a project.
        family (Family):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (QuotaPut): A grant; what a project holds above it, it keeps.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Quota]
    """

    kwargs = _get_kwargs(
        project=project,
        family=family,
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
    project: str,
    family: Family,
    *,
    client: AuthenticatedClient,
    body: QuotaPut,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Problem | Quota | None:
    """Grant a project a number of addresses of one family

    Args:
        project (str): The id of a project.
        family (Family):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (QuotaPut): A grant; what a project holds above it, it keeps.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Quota
    """

    return sync_detailed(
        project=project,
        family=family,
        client=client,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    project: str,
    family: Family,
    *,
    client: AuthenticatedClient,
    body: QuotaPut,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Response[Problem | Quota]:
    """Grant a project a number of addresses of one family

    Args:
        project (str): The id of a project.
        family (Family):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (QuotaPut): A grant; what a project holds above it, it keeps.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Quota]
    """

    kwargs = _get_kwargs(
        project=project,
        family=family,
        body=body,
        validate_only=validate_only,
        idempotency_key=idempotency_key,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    project: str,
    family: Family,
    *,
    client: AuthenticatedClient,
    body: QuotaPut,
    validate_only: bool | Unset = False,
    idempotency_key: None | str | Unset = UNSET,
    if_match: None | str | Unset = UNSET,
) -> Problem | Quota | None:
    """Grant a project a number of addresses of one family

    Args:
        project (str): The id of a project.
        family (Family):
        validate_only (bool | Unset): Run every check and change nothing. Default: False.
        idempotency_key (None | str | Unset):
        if_match (None | str | Unset):
        body (QuotaPut): A grant; what a project holds above it, it keeps.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Quota
    """

    return (
        await asyncio_detailed(
            project=project,
            family=family,
            client=client,
            body=body,
            validate_only=validate_only,
            idempotency_key=idempotency_key,
            if_match=if_match,
        )
    ).parsed
