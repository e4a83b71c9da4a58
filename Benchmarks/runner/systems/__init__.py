"""The systems by the names that `--against` takes."""

from ..failures import Missing
from .apusfs import ApusFS, MemFS
from .base import System
from .juicefs import JuiceFS
from .local import Local
from .sshfs import SSHFS

PEERS = {"juicefs": JuiceFS, "local": Local, "memfs": MemFS, "sshfs": SSHFS}


def make(name, environment):
    """Makes the system `name`: a peer, or `LABEL=PATH`, another build of ApusFS."""
    flags = environment.flags.get(name.split("=", 1)[0], [])
    if "=" in name:
        label, binary = name.split("=", 1)
        return ApusFS(label, environment, flags, binary=binary)
    if name == "apusfs":
        return ApusFS(name, environment, flags)
    if name not in PEERS:
        raise Missing(f"no peer is called {name}: there are {', '.join(sorted(PEERS))}")
    return PEERS[name](name, environment, flags)
