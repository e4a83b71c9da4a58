"""What all systems of one run share: the scratch directory and the redis-servers."""

import shutil
import tempfile
from pathlib import Path

from .redis_server import RedisServer


class Environment:
    """Owns a temporary directory and every redis-server that runs in it."""

    def __init__(self, options):
        self.scratch = Path(tempfile.mkdtemp(prefix="apusfs-bench.", dir=options.scratch))
        self.tools = self.scratch / "tools"  # programs that are compiled for the run
        self.tools.mkdir()
        self.binary = options.binary
        self.juicefs = options.juicefs
        self.flags = options.flags
        self._transport = options.transport
        self._persistence = options.persistence
        self._own_servers = options.own_servers
        self._servers = {}
        self._databases = {}

    def server_for(self, label):
        """One server for all, so that both metadata and data of all peers meet the same one."""
        key = label if self._own_servers else "shared"
        if key not in self._servers:
            self._servers[key] = RedisServer(
                self.scratch / f"redis-{key}", self._transport, self._persistence)
        return self._servers[key]

    def database_source(self, purpose, server):
        """The URL of a database that nothing else uses; `memory:` without a server."""
        return "memory:" if server is None else server.source(self.database(purpose))

    def database(self, purpose):
        return self._databases.setdefault(purpose, len(self._databases))

    def close(self):
        for server in self._servers.values():
            server.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)
