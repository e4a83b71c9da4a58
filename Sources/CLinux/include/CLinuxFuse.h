#pragma once
/*
 * What serving a FUSE mount needs. As in CLinux.h: own prototypes only.
 */
#include <stddef.h>

/*
 * The worker of the calling thread: FuseServer/Worker.swift owns what it points to; NULL on every other
 * thread. A thread-local of C, because Swift has none that costs less than a request's budget allows.
 */
extern _Thread_local void *apusfs_fuse_worker_slot;
static inline void *apusfs_fuse_worker(void) { return apusfs_fuse_worker_slot; }
static inline void apusfs_set_fuse_worker(void *worker) { apusfs_fuse_worker_slot = worker; }

/* umount2(2). Returns 0 or an errno. */
enum { APUSFS_MNT_FORCE = 1, APUSFS_MNT_DETACH = 2 };
int apusfs_umount(const char *path, int flags);

/* mount(2) with MS_REMOUNT of what is mounted at `path`, with these flags and no others. 0 or an errno. */
enum {
    APUSFS_MS_RDONLY = 1, APUSFS_MS_NOSUID = 2, APUSFS_MS_NODEV = 4, APUSFS_MS_NOEXEC = 8,
    APUSFS_MS_SYNCHRONOUS = 16, APUSFS_MS_DIRSYNC = 128, APUSFS_MS_NOATIME = 1024, APUSFS_MS_NODIRATIME = 2048,
    APUSFS_MS_RELATIME = 1 << 21, APUSFS_MS_STRICTATIME = 1 << 24,
};
int apusfs_remount(const char *path, unsigned long flags);

/*
 * Starts a small process that waits for the death of the calling thread and then aborts the connection of the
 * FUSE mount at `path` (device 0:`minor`), which the kernel does not do by itself while another thread of the
 * dead process waits in it for a lock. Returns the process, or -errno. `apusfs_end_guard` ends and reaps it.
 */
int apusfs_start_guard(const char *path, unsigned minor);
void apusfs_end_guard(int process);

/* syncfs(2) of the filesystem that holds the directory `path`. Returns 0 or an errno. */
int apusfs_sync_filesystem(const char *path);

/* splice(2) between descriptors without offsets. Returns bytes, or -1 with errno. */
long apusfs_splice(int from, int to, size_t length, unsigned flags);

/*
 * prctl(2) PR_SET_IO_FLUSHER for the calling thread and those it starts from now on: reclaiming memory never
 * waits for a filesystem, which may be the one that this process serves. Returns 0 or an errno.
 */
int apusfs_become_io_flusher(void);

/* O_DIRECT of open(2), whose value depends on the processor. */
int apusfs_o_direct(void);
