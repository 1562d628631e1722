from enum import StrEnum


class NodeRole(StrEnum):
    EDGE = "edge"
    GATEWAY = "gateway"
    HYPERVISOR = "hypervisor"

    def __str__(self) -> str:
        return str(self.value)
