from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.operation_state import OperationState

if TYPE_CHECKING:
    from ..models.operation_error import OperationError
    from ..models.operation_result import OperationResult
    from ..models.operation_step import OperationStep
    from ..models.waiting_for import WaitingFor


T = TypeVar("T", bound="Operation")


@_attrs_define
class Operation:
    """A long-running change that can be watched.

    Attributes:
        id (str):
        kind (str):
        resource (str): Path of the resource it changes.
        project (str):
        state (OperationState): `waiting` names what it waits for; the last three are final.
        waiting_for (None | WaitingFor):
        progress (float):
        steps (list[OperationStep]):
        error (None | OperationError):
        result (None | OperationResult):
        request_id (None | str): Of the request that began it; the logs of services and agents know what they do for it
            by that.
        actor (None | str): Who asked for it; null: the service itself did.
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
    """

    id: str
    kind: str
    resource: str
    project: str
    state: OperationState
    waiting_for: None | WaitingFor
    progress: float
    steps: list[OperationStep]
    error: None | OperationError
    result: None | OperationResult
    request_id: None | str
    actor: None | str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.operation_error import OperationError  # noqa: PLC0415
        from ..models.operation_result import OperationResult  # noqa: PLC0415
        from ..models.waiting_for import WaitingFor  # noqa: PLC0415

        id = self.id

        kind = self.kind

        resource = self.resource

        project = self.project

        state = self.state.value

        waiting_for: dict[str, Any] | None
        if isinstance(self.waiting_for, WaitingFor):
            waiting_for = self.waiting_for.to_dict()
        else:
            waiting_for = self.waiting_for

        progress = self.progress

        steps = []
        for steps_item_data in self.steps:
            steps_item = steps_item_data.to_dict()
            steps.append(steps_item)

        error: dict[str, Any] | None
        if isinstance(self.error, OperationError):
            error = self.error.to_dict()
        else:
            error = self.error

        result: dict[str, Any] | None
        if isinstance(self.result, OperationResult):
            result = self.result.to_dict()
        else:
            result = self.result

        request_id: None | str
        request_id = self.request_id

        actor: None | str
        actor = self.actor

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "resource": resource,
                "project": project,
                "state": state,
                "waiting_for": waiting_for,
                "progress": progress,
                "steps": steps,
                "error": error,
                "result": result,
                "request_id": request_id,
                "actor": actor,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.operation_error import OperationError  # noqa: PLC0415
        from ..models.operation_result import OperationResult  # noqa: PLC0415
        from ..models.operation_step import OperationStep  # noqa: PLC0415
        from ..models.waiting_for import WaitingFor  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        kind = d.pop("kind")

        resource = d.pop("resource")

        project = d.pop("project")

        state = OperationState(d.pop("state"))

        def _parse_waiting_for(data: object) -> None | WaitingFor:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                waiting_for_type_0 = WaitingFor.from_dict(data)

                return waiting_for_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | WaitingFor, data)

        waiting_for = _parse_waiting_for(d.pop("waiting_for"))

        progress = d.pop("progress")

        steps = []
        _steps = d.pop("steps")
        for steps_item_data in _steps:
            steps_item = OperationStep.from_dict(steps_item_data)

            steps.append(steps_item)

        def _parse_error(data: object) -> None | OperationError:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = OperationError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OperationError, data)

        error = _parse_error(d.pop("error"))

        def _parse_result(data: object) -> None | OperationResult:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                result_type_0 = OperationResult.from_dict(data)

                return result_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OperationResult, data)

        result = _parse_result(d.pop("result"))

        def _parse_request_id(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        request_id = _parse_request_id(d.pop("request_id"))

        def _parse_actor(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        actor = _parse_actor(d.pop("actor"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        operation = cls(
            id=id,
            kind=kind,
            resource=resource,
            project=project,
            state=state,
            waiting_for=waiting_for,
            progress=progress,
            steps=steps,
            error=error,
            result=result,
            request_id=request_id,
            actor=actor,
            created_at=created_at,
            updated_at=updated_at,
        )

        operation.additional_properties = d
        return operation

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
