#pragma once
/*
 * Linux-only libc calls and constants that Swift's Glibc module hides (it is built without _GNU_SOURCE).
 * Only own prototypes stand here: a libc header included under _GNU_SOURCE in a header that Swift sees
 * breaks other modules (fd_set mismatch). linux.c asserts that the constants agree with libc's.
 */
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds, without a tuple or a struct on the Swift side. */
int64_t apusfs_monotonic_nanoseconds(void);
int64_t apusfs_realtime_nanoseconds(void);

/* pthread_setname_np(3): names the calling thread; at most 15 bytes are kept. */
void apusfs_name_thread(const char *name);

/* madvise(2) with MADV_HUGEPAGE; errors are of no interest (a hint). */
void apusfs_advise_huge_pages(void *address, size_t length);

/*
 * FUSE. The worker of the calling thread: FuseServer/Worker.swift owns what it points to; NULL on every other
 * thread. A thread-local of C, because Swift has none that costs less than a request's budget allows.
 */
extern _Thread_local void *apusfs_fuse_worker_slot;
static inline void *apusfs_fuse_worker(void) { return apusfs_fuse_worker_slot; }
static inline void apusfs_set_fuse_worker(void *worker) { apusfs_fuse_worker_slot = worker; }

/* umount2(2). Returns 0 or an errno. */
enum { APUSFS_MNT_FORCE = 1, APUSFS_MNT_DETACH = 2 };
int apusfs_umount(const char *path, int flags);

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
