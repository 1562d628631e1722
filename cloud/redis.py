"""The embedded broker: the distribution's Redis with a directory and a socket of its own. It carries wake-ups only."""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from cloud.plan import Paths

USER = "redis"


@dataclass(frozen=True, slots=True)
class Redis:
    data: Path
    socket: Path
    password: str

    @classmethod
    def of(cls, paths: Paths, password: str) -> Redis:
        return cls(paths.data / "redis", paths.redis_socket, password)

    @property
    def _configuration(self) -> Path:
        return self.data / "redis.conf"

    def initialise(self) -> None:
        for directory in (self.data, self.socket.parent):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o750)
            shutil.chown(directory, USER, USER)
        self._configuration.write_text(
            f"port 0\nunixsocket {self.socket}\nunixsocketperm 700\nrequirepass {self.password}\ndir {self.data}\n"
            'appendonly yes\nappendfsync everysec\nsave ""\ndaemonize no\nloglevel notice\nlogfile ""\n'
            "enable-debug-command no\n"
        )
        self._configuration.chmod(0o600)
        shutil.chown(self._configuration, USER, USER)

    def command(self) -> list[str]:
        user = ["--reuid", USER, "--regid", USER, "--init-groups", "--pdeathsig", "TERM", "--"]
        return ["setpriv", *user, "redis-server", str(self._configuration)]

    @property
    def url(self) -> str:
        return f"redis+socket://:{self.password}@{self.socket}?virtual_host=0"

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return client.recv(64).startswith(b"+OK")
            except OSError:
                return False
