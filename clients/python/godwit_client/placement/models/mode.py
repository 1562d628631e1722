from enum import StrEnum


class Mode(StrEnum):
    HOSTNAT = "hostnat"
    ISOLATED = "isolated"
    NAT = "nat"
    ROUTED = "routed"

    def __str__(self) -> str:
        return str(self.value)
