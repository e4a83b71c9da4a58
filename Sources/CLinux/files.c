#define _GNU_SOURCE
#include "CLinuxFiles.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

_Static_assert(APUSFS_RENAME_NOREPLACE == RENAME_NOREPLACE, "RENAME_NOREPLACE");
_Static_assert(APUSFS_RENAME_EXCHANGE == RENAME_EXCHANGE, "RENAME_EXCHANGE");
_Static_assert(APUSFS_RENAME_WHITEOUT == RENAME_WHITEOUT, "RENAME_WHITEOUT");
_Static_assert(APUSFS_XATTR_CREATE == XATTR_CREATE, "XATTR_CREATE");
_Static_assert(APUSFS_XATTR_REPLACE == XATTR_REPLACE, "XATTR_REPLACE");
_Static_assert(APUSFS_UTIME_NOW == UTIME_NOW, "UTIME_NOW");
_Static_assert(APUSFS_UTIME_OMIT == UTIME_OMIT, "UTIME_OMIT");
_Static_assert(APUSFS_FALLOC_KEEP_SIZE == FALLOC_FL_KEEP_SIZE, "FALLOC_FL_KEEP_SIZE");
_Static_assert(APUSFS_FALLOC_PUNCH_HOLE == FALLOC_FL_PUNCH_HOLE, "FALLOC_FL_PUNCH_HOLE");
_Static_assert(APUSFS_FALLOC_ZERO_RANGE == FALLOC_FL_ZERO_RANGE, "FALLOC_FL_ZERO_RANGE");

static int error_of(long result) { return result == 0 ? 0 : errno; }
static long count_of(long result) { return result < 0 ? -errno : result; }

int apusfs_rename(const char *from, const char *to, unsigned flags) {
    return error_of(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}

int apusfs_set_xattr(const char *path, const char *name, const void *value, size_t size, int flags) {
    return error_of(lsetxattr(path, name, value, size, flags));
}

long apusfs_get_xattr(const char *path, const char *name, void *value, size_t size) {
    return count_of(lgetxattr(path, name, value, size));
}

long apusfs_list_xattrs(const char *path, char *names, size_t size) {
    return count_of(llistxattr(path, names, size));
}

int apusfs_remove_xattr(const char *path, const char *name) { return error_of(lremovexattr(path, name)); }

int apusfs_set_times(const char *path, int64_t access_seconds, long access_nanoseconds,
                     int64_t modification_seconds, long modification_nanoseconds) {
    struct timespec times[2] = {
        {.tv_sec = access_seconds, .tv_nsec = access_nanoseconds},
        {.tv_sec = modification_seconds, .tv_nsec = modification_nanoseconds},
    };
    return error_of(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

int apusfs_fallocate(int descriptor, int mode, int64_t offset, int64_t length) {
    return error_of(fallocate(descriptor, mode, offset, length));
}

long apusfs_copy_file_range(int from, int64_t from_offset, int to, int64_t to_offset, size_t length) {
    off64_t source = from_offset, destination = to_offset;
    return count_of(copy_file_range(from, &source, to, &destination, length, 0));
}

int64_t apusfs_seek_data(int descriptor, int64_t offset) {
    return count_of(lseek(descriptor, offset, SEEK_DATA));
}

int64_t apusfs_seek_hole(int descriptor, int64_t offset) {
    return count_of(lseek(descriptor, offset, SEEK_HOLE));
}

_Static_assert(APUSFS_HANDLE_BYTES == sizeof(struct file_handle) + MAX_HANDLE_SZ, "struct file_handle");

int apusfs_file_handle(const char *path, void *handle) {
    int mount;
    ((struct file_handle *)handle)->handle_bytes = MAX_HANDLE_SZ;
    return error_of(name_to_handle_at(AT_FDCWD, path, handle, &mount, 0));
}

int apusfs_open_handle(int mount, const void *handle, int flags) {
    int descriptor = open_by_handle_at(mount, (struct file_handle *)handle, flags | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int apusfs_try_flock(int descriptor, int exclusive) {
    return error_of(flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB));
}

int apusfs_assume_identity(unsigned user, unsigned group, const unsigned *groups, size_t group_count) {
    /* Not the functions of libc, which change all threads of the process (nptl(7)). */
    if (syscall(SYS_setgroups, group_count, groups) != 0) return errno;
    if (syscall(SYS_setresgid, group, group, group) != 0) return errno;
    return error_of(syscall(SYS_setresuid, user, user, user));
}

int apusfs_assume_umask(unsigned mask) {
    if (unshare(CLONE_FS) != 0) return errno;
    umask(mask);
    return 0;
}
