from enum import StrEnum


class FlexibleIPState(StrEnum):
    ATTACHED = "attached"
    ATTACHING = "attaching"
    DETACHING = "detaching"
    MOVING = "moving"
    QUARANTINED = "quarantined"
    RESERVED = "reserved"

    def __str__(self) -> str:
        return str(self.value)
