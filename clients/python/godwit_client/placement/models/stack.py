from enum import StrEnum


class Stack(StrEnum):
    DUAL = "dual"
    NAT = "nat"
    ROUTED = "routed"

    def __str__(self) -> str:
        return str(self.value)
