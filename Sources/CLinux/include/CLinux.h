#pragma once
/*
 * Linux-only libc calls and constants that Swift's Glibc module hides (it is built without _GNU_SOURCE).
 * Only own prototypes stand here: a libc header included under _GNU_SOURCE in a header that Swift sees
 * breaks other modules (fd_set mismatch). linux.c asserts that the constants agree with libc's.
 */
#include <stddef.h>
#include <stdint.h>

#include "CLinuxFuse.h"
#include "CLinuxProcess.h"
#include "CLinuxFiles.h"

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds, without a tuple or a struct on the Swift side. */
int64_t apusfs_monotonic_nanoseconds(void);
int64_t apusfs_realtime_nanoseconds(void);

/* pthread_setname_np(3): names the calling thread; at most 15 bytes are kept. */
void apusfs_name_thread(const char *name);

/* madvise(2) with MADV_HUGEPAGE; errors are of no interest (a hint). */
void apusfs_advise_huge_pages(void *address, size_t length);

/* madvise(2) with MADV_DONTNEED: private anonymous memory goes back to the system and reads as zeros. */
void apusfs_release_pages(void *address, size_t length);

/* SO_RCVTIMEO and SO_SNDTIMEO of socket(7): no single wait on the socket is longer. Returns 0 or -1 with
 * errno. In C, because `struct timeval` belongs to another Swift module in each build. */
int apusfs_limit_socket_waits(int descriptor, int milliseconds);
