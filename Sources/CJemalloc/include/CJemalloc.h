#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False in builds with NO_JEMALLOC=1 (sanitizers bring their own malloc). */
bool apusfs_jemalloc_is_linked(void);

/* mallctl(3) for reading: fills *value (of *size bytes). Returns 0 or an errno; ENOSYS without jemalloc. */
int apusfs_jemalloc_read(const char *name, void *value, size_t *size);

/* Refreshes the figures that apusfs_jemalloc_read answers ("epoch"). Returns 0 or an errno. */
int apusfs_jemalloc_refresh(void);
