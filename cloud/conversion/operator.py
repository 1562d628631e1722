"""Whoever converts a zone, by the generated client: plans, starts, pauses, resumes, aborts, seals; and watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from godwit_client import answer, every
from godwit_client.placement import AuthenticatedClient, models
from godwit_client.placement.api.conversions import (
    abort_conversion,
    get_conversion,
    list_conversion_ports,
    pause_conversion,
    plan_conversion,
    resume_conversion,
    seal_conversion,
    start_conversion,
)
from godwit_client.placement.models import Conversion, ConversionPlan, Phase, PortConversion, PortState

from cloud.tour.customer import Customer, OperationEnded

POLL_S = 0.1
LARGEST_PAGE = 200


@dataclass(frozen=True, slots=True)
class Operator:
    """Acts on conversions of one customer's zone. Calls raise Refused; those that wait raise OperationEnded."""

    customer: Customer

    def plan(self, through: Phase, in_flight: int, **more: Any) -> ConversionPlan:
        """`more`: as `ConversionCreate` has it."""
        body = models.ConversionCreate(zone=self.customer.zone, through=through, in_flight=in_flight, **more)
        return answer(plan_conversion.sync_detailed(client=self._api, body=body))

    def start(self, conversion_id: UUID) -> Conversion:
        return answer(start_conversion.sync_detailed(conversion_id, client=self._api))

    def pause(self, conversion_id: UUID, reason: str) -> Conversion:
        body = models.ConversionPause(reason=reason)
        return answer(pause_conversion.sync_detailed(conversion_id, client=self._api, body=body))

    def resume(self, conversion_id: UUID, through: Phase) -> Conversion:
        body = models.ConversionResume(through=through)
        return answer(resume_conversion.sync_detailed(conversion_id, client=self._api, body=body))

    def abort(self, conversion_id: UUID) -> Conversion:
        return answer(abort_conversion.sync_detailed(conversion_id, client=self._api))

    def seal(self, conversion_id: UUID) -> Conversion:
        return answer(seal_conversion.sync_detailed(conversion_id, client=self._api))

    def conversion(self, conversion_id: UUID) -> Conversion:
        return answer(get_conversion.sync_detailed(conversion_id, client=self._api))

    def ports(self, conversion_id: UUID) -> list[PortConversion]:
        """All of them, in the order of their names."""
        return list(
            every(
                lambda cursor: answer(
                    list_conversion_ports.sync_detailed(
                        conversion_id, client=self._api, limit=LARGEST_PAGE, cursor=cursor
                    )
                )
            )
        )

    def until(
        self,
        conversion_id: UUID,
        holds: Callable[[Conversion], bool],
        within_s: float,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> Conversion:
        """Watch it until something holds of it. Raises OperationEnded if it does not in time."""
        ends = time.monotonic() + within_s
        while not holds(conversion := self.conversion(conversion_id)):
            tell(in_words(conversion))
            if time.monotonic() > ends:
                raise OperationEnded(f"after {within_s:.0f} s the conversion is {in_words(conversion)}")
            time.sleep(POLL_S)
        return conversion

    @property
    def _api(self) -> AuthenticatedClient:
        return self.customer.api.placement


def count(conversion: Conversion, *states: PortState) -> int:
    """Ports in any of these states."""
    by_state = conversion.ports.to_dict()
    return sum(by_state.get(state.value, 0) for state in states)


def in_words(conversion: Conversion) -> str:
    """Phase, ports by state, and why it is paused."""
    states = ", ".join(f"{number} {state}" for state, number in conversion.ports.to_dict().items())
    why = f"; paused: {'; '.join(reason.text for reason in conversion.paused)}" if conversion.paused else ""
    return f"{conversion.phase.value}: {states}{why}"
