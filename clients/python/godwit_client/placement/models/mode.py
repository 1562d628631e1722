from enum import StrEnum


class Mode(StrEnum):
    ISOLATED = "isolated"
    NAT = "nat"
    ROUTED = "routed"

    def __str__(self) -> str:
        return str(self.value)
