#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

/* glibc hands the arguments of main to constructors; Swift keeps only copies of them. */
static int kept_count;
static char **kept_arguments;

__attribute__((constructor)) static void keep_arguments(int count, char **arguments) {
    kept_count = count;
    kept_arguments = arguments;
}

void apusfs_mask_argument(int index, size_t offset, size_t length) {
    if (index < 0 || index >= kept_count) return;
    size_t whole = strlen(kept_arguments[index]);
    if (offset > whole || length > whole - offset) return;
    memset(kept_arguments[index] + offset, '*', length);
}

int apusfs_lock_file(int descriptor, bool exclusive, bool wait) {
    int operation = (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB);
    int result;
    do result = flock(descriptor, operation); while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

int apusfs_unlock_file(int descriptor) { return flock(descriptor, LOCK_UN) == 0 ? 0 : errno; }

int apusfs_process_descriptor(int process) {
    long descriptor = syscall(SYS_pidfd_open, process, 0);
    return descriptor >= 0 ? (int)descriptor : -errno;
}

int apusfs_peer_process(int socket) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -errno;
    return peer.pid > 0 ? peer.pid : -ESRCH;
}

int apusfs_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }

void apusfs_close_descriptors(int first) { close_range(first, ~0U, 0); }

int apusfs_spawn(const char *path, char *const arguments[], char *const environment[],
                 const int *kept, int kept_count_, bool own_session) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t process = -1;
    int error, spare = kept_count_;

    if ((error = posix_spawn_file_actions_init(&actions)) != 0) return -error;
    if ((error = posix_spawnattr_init(&attributes)) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    /* First out of the way of the numbers they are to have, then onto those (which clears CLOEXEC). */
    for (int index = 0; index < kept_count_; index++)
        if (kept[index] + 1 > spare) spare = kept[index] + 1;
    for (int index = 0; error == 0 && index < kept_count_; index++)
        error = posix_spawn_file_actions_adddup2(&actions, kept[index], spare + index);
    for (int index = 0; error == 0 && index < kept_count_; index++)
        error = posix_spawn_file_actions_adddup2(&actions, spare + index, index);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, kept_count_);

    sigemptyset(&none);
    sigfillset(&all);
    if (error == 0) error = posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (own_session ? POSIX_SPAWN_SETSID : 0);
    if (error == 0) error = posix_spawnattr_setflags(&attributes, flags);
    if (error == 0) error = posix_spawn(&process, path, &actions, &attributes, arguments, environment);

    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error == 0 ? process : -error;
}

int apusfs_forbid_core_dumps(void) {
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return errno;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

int apusfs_keep_capabilities(uint64_t kept) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    /* Needs CAP_SETPCAP, which some containers lack: then what they have left is the bound. EINVAL is the end. */
    for (unsigned long number = 0; number < 64; number++)
        if (!(kept >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0 && errno == EINVAL) break;
    if (syscall(SYS_capget, &header, sets) != 0) return errno;
    for (int half = 0; half < 2; half++) {
        uint32_t part = (uint32_t)(kept >> 32 * half);
        sets[half].effective &= part;
        sets[half].permitted &= part;
        sets[half].inheritable &= part;
    }
    return syscall(SYS_capset, &header, sets) == 0 ? 0 : errno;
}

void apusfs_system_log(int priority, const char *message) {
    openlog("apusfs", LOG_PID, LOG_DAEMON);
    syslog(priority, "%s", message);
}
