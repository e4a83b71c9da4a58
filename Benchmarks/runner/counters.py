"""What the store and the daemon did while a row ran."""

import time
from dataclasses import dataclass, field

# The runner's own questions.
NOT_COUNTED = {"info", "ping"}
QUIET_COMMANDS_PER_SECOND = 300
QUIET_WINDOW_SECONDS = 0.1
QUIET_LIMIT_SECONDS = 5.0


@dataclass
class Counters:
    """Totals since the start of the processes, or the difference of two such totals."""

    daemon_cpu_seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    commands: dict = field(default_factory=dict)  # those inside scripts and MULTI included
    socket_reads: int = 0  # of redis-server: one for each pipeline that arrives in one piece
    received_bytes: int = 0
    sent_bytes: int = 0
    daemon_peak_bytes: int = 0  # resident, since the row began
    server_used_bytes: int = 0

    @classmethod
    def of(cls, system):
        counters = cls(daemon_cpu_seconds=system.daemon_cpu_seconds(),
                       daemon_peak_bytes=system.daemon_peak_bytes())
        if system.server is None:
            return counters
        info = system.server.info("stats", "commandstats", "memory")
        counters.server_cpu_seconds = system.server.child.cpu_seconds()
        for key, value in info.items():
            name = key.removeprefix("cmdstat_")
            if name != key and name not in NOT_COUNTED:
                counters.commands[name] = int(value.split(",", 1)[0].removeprefix("calls="))
        counters.socket_reads = int(info["total_reads_processed"])
        counters.received_bytes = int(info["total_net_input_bytes"])
        counters.sent_bytes = int(info["total_net_output_bytes"])
        counters.server_used_bytes = int(info["used_memory"])
        return counters

    def since(self, earlier):
        commands = {name: count - earlier.commands.get(name, 0)
                    for name, count in self.commands.items()}
        return Counters(
            daemon_cpu_seconds=self.daemon_cpu_seconds - earlier.daemon_cpu_seconds,
            server_cpu_seconds=self.server_cpu_seconds - earlier.server_cpu_seconds,
            commands={name: count for name, count in commands.items() if count},
            # The later question of the runner itself is one read.
            socket_reads=max(0, self.socket_reads - earlier.socket_reads - 1),
            received_bytes=self.received_bytes - earlier.received_bytes,
            sent_bytes=self.sent_bytes - earlier.sent_bytes,
            daemon_peak_bytes=self.daemon_peak_bytes,
            server_used_bytes=self.server_used_bytes - earlier.server_used_bytes)


def settle(systems):
    """Waits until no redis-server has work left over from the row before.

    Returns the reads of `systems[0]`'s server that the waiting itself caused.
    """
    servers = {id(s.server): s.server for s in systems if s.server is not None}.values()
    asked = 0
    for server in servers:
        end = time.monotonic() + QUIET_LIMIT_SECONDS
        before = _processed(server)
        asked += 1
        while time.monotonic() < end:
            time.sleep(QUIET_WINDOW_SECONDS)
            now = _processed(server)
            asked += 1
            if (now - before) / QUIET_WINDOW_SECONDS < QUIET_COMMANDS_PER_SECOND:
                break
            before = now
    return asked


def _processed(server):
    return int(server.info("stats")["total_commands_processed"])
