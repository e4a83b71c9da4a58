"""The systems by the names that `--against` takes."""

from ..failures import Missing
from .apusfs import ApusFS, ApusFSByDevice, ApusFSInLittleMemory, MemFS
from .base import System
from .ceilings import FuseCeiling, RedisCeiling
from .glusterfs import GlusterFS
from .juicefs import JuiceFS
from .local import Local
from .moosefs import MooseFS
from .sshfs import SSHFS

PEERS = {"glusterfs": GlusterFS, "juicefs": JuiceFS, "local": Local, "memfs": MemFS, "moosefs": MooseFS,
         "sshfs": SSHFS}

#: What scenarios name as taking part (`Scenario.labels`): started with them, in no other row.
COMPANIONS = {"apusfs-device": ApusFSByDevice, "apusfs-small-cache": ApusFSInLittleMemory,
              "fuse-ceiling": FuseCeiling, "redis-ceiling": RedisCeiling}


def make(name, environment):
    """Makes the system `name`: a peer, or `LABEL=PATH`, another build of ApusFS."""
    flags = environment.flags.get(name.split("=", 1)[0], [])
    if "=" in name:
        label, binary = name.split("=", 1)
        return ApusFS(label, environment, flags, binary=binary)
    if name == "apusfs":
        return ApusFS(name, environment, flags)
    known = PEERS | COMPANIONS
    if name not in known:
        raise Missing(f"no peer is called {name}: there are {', '.join(sorted(PEERS))}")
    return known[name](name, environment, flags)
