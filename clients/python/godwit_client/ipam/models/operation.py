from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.operation_state import OperationState
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.operation_error import OperationError
    from ..models.operation_result_type_0 import OperationResultType0
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
        created_at (datetime.datetime):
        updated_at (datetime.datetime):
        waiting_for (None | Unset | WaitingFor):
        progress (float | Unset):  Default: 0.0.
        steps (list[OperationStep] | Unset):
        error (None | OperationError | Unset):
        result (None | OperationResultType0 | Unset):
    """

    id: str
    kind: str
    resource: str
    project: str
    state: OperationState
    created_at: datetime.datetime
    updated_at: datetime.datetime
    waiting_for: None | Unset | WaitingFor = UNSET
    progress: float | Unset = 0.0
    steps: list[OperationStep] | Unset = UNSET
    error: None | OperationError | Unset = UNSET
    result: None | OperationResultType0 | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.operation_error import OperationError  # noqa: PLC0415
        from ..models.operation_result_type_0 import OperationResultType0  # noqa: PLC0415
        from ..models.waiting_for import WaitingFor  # noqa: PLC0415

        id = self.id

        kind = self.kind

        resource = self.resource

        project = self.project

        state = self.state.value

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        waiting_for: dict[str, Any] | None | Unset
        if isinstance(self.waiting_for, Unset):
            waiting_for = UNSET
        elif isinstance(self.waiting_for, WaitingFor):
            waiting_for = self.waiting_for.to_dict()
        else:
            waiting_for = self.waiting_for

        progress = self.progress

        steps: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.steps, Unset):
            steps = []
            for steps_item_data in self.steps:
                steps_item = steps_item_data.to_dict()
                steps.append(steps_item)

        error: dict[str, Any] | None | Unset
        if isinstance(self.error, Unset):
            error = UNSET
        elif isinstance(self.error, OperationError):
            error = self.error.to_dict()
        else:
            error = self.error

        result: dict[str, Any] | None | Unset
        if isinstance(self.result, Unset):
            result = UNSET
        elif isinstance(self.result, OperationResultType0):
            result = self.result.to_dict()
        else:
            result = self.result

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "resource": resource,
                "project": project,
                "state": state,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )
        if waiting_for is not UNSET:
            field_dict["waiting_for"] = waiting_for
        if progress is not UNSET:
            field_dict["progress"] = progress
        if steps is not UNSET:
            field_dict["steps"] = steps
        if error is not UNSET:
            field_dict["error"] = error
        if result is not UNSET:
            field_dict["result"] = result

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.operation_error import OperationError  # noqa: PLC0415
        from ..models.operation_result_type_0 import OperationResultType0  # noqa: PLC0415
        from ..models.operation_step import OperationStep  # noqa: PLC0415
        from ..models.waiting_for import WaitingFor  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        kind = d.pop("kind")

        resource = d.pop("resource")

        project = d.pop("project")

        state = OperationState(d.pop("state"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        def _parse_waiting_for(data: object) -> None | Unset | WaitingFor:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                waiting_for_type_0 = WaitingFor.from_dict(data)

                return waiting_for_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | WaitingFor, data)

        waiting_for = _parse_waiting_for(d.pop("waiting_for", UNSET))

        progress = d.pop("progress", UNSET)

        _steps = d.pop("steps", UNSET)
        steps: list[OperationStep] | Unset = UNSET
        if _steps is not UNSET:
            steps = []
            for steps_item_data in _steps:
                steps_item = OperationStep.from_dict(steps_item_data)

                steps.append(steps_item)

        def _parse_error(data: object) -> None | OperationError | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = OperationError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OperationError | Unset, data)

        error = _parse_error(d.pop("error", UNSET))

        def _parse_result(data: object) -> None | OperationResultType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                result_type_0 = OperationResultType0.from_dict(data)

                return result_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OperationResultType0 | Unset, data)

        result = _parse_result(d.pop("result", UNSET))

        operation = cls(
            id=id,
            kind=kind,
            resource=resource,
            project=project,
            state=state,
            created_at=created_at,
            updated_at=updated_at,
            waiting_for=waiting_for,
            progress=progress,
            steps=steps,
            error=error,
            result=result,
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
