from enum import StrEnum


class Phase(StrEnum):
    ABORTED = "aborted"
    ABORTING = "aborting"
    CANARY = "canary"
    DONE = "done"
    DRAINING = "draining"
    DUAL = "dual"
    NO_NEW_NAT = "no_new_nat"
    PLANNED = "planned"
    TAIL = "tail"
    WAVES = "waves"

    def __str__(self) -> str:
        return str(self.value)
