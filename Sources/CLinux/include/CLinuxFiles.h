#pragma once
/*
 * System calls on files that Swift's Glibc module hides, for programs that use a mounted filesystem (Tests).
 * As in CLinux.h: own prototypes only; files.c asserts the constants. An int is 0 or an errno; a long is a
 * count or -errno.
 */
#include <stddef.h>
#include <stdint.h>

/* renameat2(2) with both paths relative to the working directory. */
enum { APUSFS_RENAME_NOREPLACE = 1, APUSFS_RENAME_EXCHANGE = 2, APUSFS_RENAME_WHITEOUT = 4 };
int apusfs_rename(const char *from, const char *to, unsigned flags);

/* setxattr(2), getxattr(2), listxattr(2), removexattr(2), none of which follows a symbolic link. */
enum { APUSFS_XATTR_CREATE = 1, APUSFS_XATTR_REPLACE = 2 };
int apusfs_set_xattr(const char *path, const char *name, const void *value, size_t size, int flags);
long apusfs_get_xattr(const char *path, const char *name, void *value, size_t size);
long apusfs_list_xattrs(const char *path, char *names, size_t size);
int apusfs_remove_xattr(const char *path, const char *name);

/* utimensat(2) without following symbolic links: nanoseconds may be APUSFS_UTIME_NOW or APUSFS_UTIME_OMIT. */
enum { APUSFS_UTIME_NOW = (1 << 30) - 1, APUSFS_UTIME_OMIT = (1 << 30) - 2 };
int apusfs_set_times(const char *path, int64_t access_seconds, long access_nanoseconds,
                     int64_t modification_seconds, long modification_nanoseconds);

/* fallocate(2). */
enum { APUSFS_FALLOC_KEEP_SIZE = 1, APUSFS_FALLOC_PUNCH_HOLE = 2, APUSFS_FALLOC_ZERO_RANGE = 16 };
int apusfs_fallocate(int descriptor, int mode, int64_t offset, int64_t length);

/* copy_file_range(2) at given offsets. */
long apusfs_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t length);

/* lseek(2) with SEEK_DATA and SEEK_HOLE; -errno when it fails. */
int64_t apusfs_seek_data(int descriptor, int64_t offset);
int64_t apusfs_seek_hole(int descriptor, int64_t offset);

/*
 * name_to_handle_at(2) of a path, not following a symbolic link: a struct file_handle in `handle`, which has room
 * for APUSFS_HANDLE_BYTES. open_by_handle_at(2) of one, below a descriptor of its filesystem: a descriptor with
 * O_CLOEXEC, or -errno.
 */
enum { APUSFS_HANDLE_BYTES = 136 };
int apusfs_file_handle(const char *path, void *handle);
int apusfs_open_handle(int mount, const void *handle, int flags);

/* flock(2) of a descriptor without waiting: EWOULDBLOCK when somebody else holds it. */
int apusfs_try_flock(int descriptor, int exclusive);

/*
 * Makes the calling thread, and no other, act as another user for the rest of its life: setgroups(2),
 * setresgid(2), setresuid(2) as plain system calls, which Linux applies to one thread. Returns 0 or an errno.
 */
int apusfs_assume_identity(unsigned user, unsigned group, const unsigned *groups, size_t group_count);

/* umask(2) for the calling thread alone: unshare(2) with CLONE_FS, then the mask. Returns 0 or an errno. */
int apusfs_assume_umask(unsigned mask);
