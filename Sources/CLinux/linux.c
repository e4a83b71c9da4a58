#define _GNU_SOURCE
#include "CLinux.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t apusfs_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t apusfs_realtime_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }

void apusfs_name_thread(const char *name) {
    char kept[16];
    size_t length = 0;
    while (length < sizeof kept - 1 && name[length] != 0) {
        kept[length] = name[length];
        length++;
    }
    kept[length] = 0;
    pthread_setname_np(pthread_self(), kept);
}

void apusfs_advise_huge_pages(void *address, size_t length) { madvise(address, length, MADV_HUGEPAGE); }

void apusfs_release_pages(void *address, size_t length) { madvise(address, length, MADV_DONTNEED); }

int apusfs_limit_socket_waits(int descriptor, int milliseconds) {
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return -1;
    return setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}
