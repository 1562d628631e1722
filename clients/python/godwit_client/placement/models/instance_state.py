from enum import StrEnum


class InstanceState(StrEnum):
    ARCHIVED = "archived"
    CONVERTING = "converting"
    CREATING = "creating"
    DELETING = "deleting"
    MOVING = "moving"
    RESTARTING = "restarting"
    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"

    def __str__(self) -> str:
        return str(self.value)
