/*
 * Links jemalloc as the process's allocator and sets its options.
 *
 * A shared libjemalloc that is linked to the executable is found before libc, so malloc of the Swift
 * runtime, libfuse and hiredis goes to it. `malloc_conf` must be *defined* by the program, which Swift
 * cannot do; mallctl is wrapped so that the rest of the program builds without jemalloc, too.
 */
#include "CJemalloc.h"

#include <errno.h>

#ifdef APUSFS_JEMALLOC
#include <jemalloc/jemalloc.h>

__attribute__((used, visibility("default"))) const char *malloc_conf =
    "background_thread:true,narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0";

bool apusfs_jemalloc_is_linked(void) { return true; }

int apusfs_jemalloc_read(const char *name, void *value, size_t *size) {
    return mallctl(name, value, size, NULL, 0);
}

int apusfs_jemalloc_refresh(void) {
    uint64_t epoch = 1;
    return mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
}
#else
bool apusfs_jemalloc_is_linked(void) { return false; }

int apusfs_jemalloc_read(const char *name, void *value, size_t *size) {
    (void)name; (void)value; (void)size;
    return ENOSYS;
}

int apusfs_jemalloc_refresh(void) { return ENOSYS; }
#endif
