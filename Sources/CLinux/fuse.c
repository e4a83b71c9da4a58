#define _GNU_SOURCE
#include "CLinuxFuse.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

_Thread_local void *apusfs_fuse_worker_slot = NULL;

_Static_assert(APUSFS_MNT_FORCE == MNT_FORCE, "MNT_FORCE");
_Static_assert(APUSFS_MNT_DETACH == MNT_DETACH, "MNT_DETACH");

int apusfs_umount(const char *path, int flags) { return umount2(path, flags) == 0 ? 0 : errno; }

_Static_assert(APUSFS_MS_RDONLY == MS_RDONLY && APUSFS_MS_NOSUID == MS_NOSUID, "MS_RDONLY, MS_NOSUID");
_Static_assert(APUSFS_MS_NODEV == MS_NODEV && APUSFS_MS_NOEXEC == MS_NOEXEC, "MS_NODEV, MS_NOEXEC");
_Static_assert(APUSFS_MS_SYNCHRONOUS == MS_SYNCHRONOUS && APUSFS_MS_DIRSYNC == MS_DIRSYNC, "MS_SYNCHRONOUS");
_Static_assert(APUSFS_MS_NOATIME == MS_NOATIME && APUSFS_MS_NODIRATIME == MS_NODIRATIME, "MS_NOATIME");
_Static_assert(APUSFS_MS_RELATIME == MS_RELATIME && APUSFS_MS_STRICTATIME == MS_STRICTATIME, "MS_RELATIME");

int apusfs_remount(const char *path, unsigned long flags) {
    return mount("none", path, "none", MS_REMOUNT | flags, NULL) == 0 ? 0 : errno;
}

int apusfs_sync_filesystem(const char *path) {
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return errno;
    int result = syncfs(directory) == 0 ? 0 : errno;
    close(directory);
    return result;
}

long apusfs_splice(int from, int to, size_t length, unsigned flags) {
    return splice(from, NULL, to, NULL, length, flags);
}

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
int apusfs_become_io_flusher(void) { return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0 ? 0 : errno; }

int apusfs_o_direct(void) { return O_DIRECT; }
