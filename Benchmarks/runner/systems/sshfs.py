"""sshfs straight onto an sftp-server, without ssh between: the kindest case for it."""

import os
import shutil
import socket

from ..failures import Missing
from .base import System
from ..processes import run

SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")


class SSHFS(System):
    title = "sshfs (no encryption)"

    def __init__(self, label, environment, flags=()):
        self.binary = shutil.which("sshfs")
        self.sftp_server = next((path for path in SERVERS if os.access(path, os.X_OK)), None)
        if self.binary is None or self.sftp_server is None:
            raise Missing("sshfs needs the Debian packages sshfs and openssh-sftp-server")
        super().__init__(label, environment, flags)
        self.store = self.home / "store"
        self.store.mkdir()

    def mount(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.run_daemon(
                [self.binary, f"bench:{self.store}", self.path, "-f", "-o", "passive", *self.flags],
                stdin=ours, stdout=ours)
            self.run_daemon([self.sftp_server, "-e"], stdin=theirs, stdout=theirs)
        self.wait_for_mount()

    def version(self):
        return run([self.binary, "--version"]).splitlines()[0]
