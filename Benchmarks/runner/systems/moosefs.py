"""MooseFS: its master, one chunk server and a mount, with Debian's defaults but for places and priorities."""

import os
import shutil
import time

from ..failures import Failed, Missing
from ..processes import Child, run
from .base import System

# A chunk server refuses to reach its master over 127.0.0.0/8. So all three live in a network namespace whose
# loopback device has one more address (TEST-NET-1, RFC 5737): nothing leaves the machine.
ADDRESS = "192.0.2.1"
METALOGGERS, CHUNKS, CLIENTS, DATA = 9419, 9420, 9421, 9422
PROGRAMS = ("mfsmaster", "mfschunkserver", "mfsmount", "ip", "nsenter")
READY_SECONDS = 60
# The default is -19, which no other system here has.
OURS = {"WORKING_USER": "root", "WORKING_GROUP": "root", "NICE_LEVEL": 0, "DISABLE_OOM_KILLER": 0}


class MooseFS(System):
    title = "MooseFS (chunks on the local disk)"

    def __init__(self, label, environment, flags=()):
        lacking = [name for name in PROGRAMS if shutil.which(name) is None]
        if lacking or os.geteuid() != 0:
            raise Missing("moosefs needs root and the Debian packages moosefs-master, moosefs-chunkserver, "
                          f"moosefs-client and iproute2 (lacking: {', '.join(lacking) or 'root'})")
        super().__init__(label, environment, flags)
        self.namespace = f"apusfs-bench-{os.getpid()}"
        self.servers = []

    def start(self):
        run(["ip", "netns", "add", self.namespace])
        run([*self._inside(), "ip", "link", "set", "lo", "up"])
        run([*self._inside(), "ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"])
        for name in ("master", "chunks", "disk"):
            (self.home / name).mkdir()
        shutil.copy(_empty_metadata(), self.home / "master" / "metadata.mfs")
        (self.home / "exports.cfg").write_text("* / rw,alldirs,maproot=0:0\n")
        (self.home / "topology.cfg").write_text("")
        (self.home / "hdd.cfg").write_text(f"{self.home / 'disk'}\n")
        self._serve("mfsmaster", {
            "DATA_PATH": self.home / "master", "EXPORTS_FILENAME": self.home / "exports.cfg",
            "TOPOLOGY_FILENAME": self.home / "topology.cfg",
            "MATOML_LISTEN_HOST": ADDRESS, "MATOML_LISTEN_PORT": METALOGGERS,
            "MATOCS_LISTEN_HOST": ADDRESS, "MATOCS_LISTEN_PORT": CHUNKS,
            "MATOCL_LISTEN_HOST": ADDRESS, "MATOCL_LISTEN_PORT": CLIENTS}, "initialized properly")
        self._serve("mfschunkserver", {
            "DATA_PATH": self.home / "chunks", "HDD_CONF_FILENAME": self.home / "hdd.cfg",
            "BIND_HOST": ADDRESS, "MASTER_HOST": ADDRESS, "MASTER_PORT": CHUNKS,
            "CSSERV_LISTEN_HOST": ADDRESS, "CSSERV_LISTEN_PORT": DATA}, "connected to Master")

    def mount(self):
        self.run_daemon([*self._inside(), "mfsmount", f"{ADDRESS}:{CLIENTS}:/", self.path, "-f",
                         "-o", "mfsnice=0", "-o", "mfsallowoomkiller", *self.flags])
        self.wait_for_mount()
        _wait_until(lambda: os.statvfs(self.path).f_blocks > 0, f"{self.label}: no chunk server came")

    def version(self):
        return run(["mfsmount", "-V"]).splitlines()[0]

    def daemon_cpu_seconds(self):
        return super().daemon_cpu_seconds() + sum(server.cpu_seconds() for server in self.servers)

    def stop(self):
        super().stop()
        for server in reversed(self.servers):
            server.stop()
        if self.servers:
            run(["ip", "netns", "delete", self.namespace])

    def _inside(self):
        """In the namespace, but with the mounts of everybody."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def _serve(self, program, settings, ready):
        configuration, log = self.home / f"{program}.cfg", self.home / f"{program}.log"
        configuration.write_text("".join(f"{key} = {value}\n" for key, value in (OURS | settings).items()))
        server = Child([*self._inside(), program, "-f", "-c", configuration, "start"], log)
        self.servers.append(server)
        _wait_until(lambda: ready in log.read_text(errors="replace"), f"{program} did not start", server)


def _empty_metadata():
    """What a master begins with: 8 bytes that its package ships."""
    for path in ("/var/lib/mfs/metadata.mfs.empty", "/var/lib/mfs/metadata.mfs"):
        if os.path.exists(path):
            return path
    raise Missing("moosefs-master ships no empty metadata file")


def _wait_until(condition, otherwise, server=None):
    end = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > end or server and not server.is_running():
            raise Failed(otherwise + (f": {server.tail()}" if server else ""))
        time.sleep(0.05)
