#define _GNU_SOURCE
#include "CLinuxFuse.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The guard is forked from a process with threads, so it calls only what is safe in a signal handler
 * (signal-safety(7)): no allocation, no stdio.
 */

/* The text of `number`, which ends before `end`. */
static char *digits(unsigned number, char *end) {
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

/* The mount at `descriptor`, as /proc/self/fdinfo names it; -1 when that cannot be read. */
static int mount_number(int descriptor) {
    char path[40] = "/proc/self/fdinfo/", text[512], number[16];
    number[15] = 0;
    strcat(path, digits((unsigned)descriptor, number + 15));
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count <= 0) return -1;
    text[count] = 0;
    const char *found = strstr(text, "mnt_id:");
    if (found == NULL) return -1;
    found += strlen("mnt_id:");
    while (*found == ' ' || *found == '\t') found++;
    int result = 0;
    while (*found >= '0' && *found <= '9') result = result * 10 + (*found++ - '0');
    return result;
}

/* Whether the mount `mount` is of the device `minor` (of major 0, as all of FUSE). */
static int is_device(int mount, unsigned minor) {
    char wanted[48] = "\n", number[16], text[4096];
    number[15] = 0;
    strcat(wanted, digits((unsigned)mount, number + 15));
    strcat(wanted, " ");
    int file = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    /* Lines: "id parent 0:minor ...". A window that slides, because lines cross the ends of reads. */
    size_t kept = 1;
    text[0] = '\n';
    int result = 0;
    while (!result) {
        ssize_t count = read(file, text + kept, sizeof text - 1 - kept);
        if (count <= 0) break;
        kept += (size_t)count;
        text[kept] = 0;
        char *line = strstr(text, wanted);
        char *colon = line == NULL ? NULL : strstr(line, " 0:");
        if (colon != NULL && strchr(colon + 3, ' ') != NULL) {
            unsigned found = 0;
            for (colon += 3; *colon >= '0' && *colon <= '9'; colon++)
                found = found * 10 + (unsigned)(*colon - '0');
            result = found == minor;
            break;
        }
        size_t rest = kept < 64 ? kept : 64;
        if (line != NULL && (size_t)(text + kept - line) > rest) rest = (size_t)(text + kept - line);
        if (rest > sizeof text / 2) break;
        memmove(text, text + kept - rest, rest);
        kept = rest;
    }
    close(file);
    return result;
}

static void abort_by_control(unsigned minor) {
    char path[64] = "/sys/fs/fuse/connections/", number[16];
    number[15] = 0;
    strcat(path, digits(minor, number + 15));
    strcat(path, "/abort");
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    ssize_t written = write(file, "1", 1);
    (void)written;
    close(file);
}

/* Aborts the connection of the mount, which stays where it is and answers ENOTCONN from then on. */
static void abort_connection(const char *path, unsigned minor) {
    abort_by_control(minor);
    /* Asks nobody for anything, and keeps the mount busy: MNT_FORCE aborts it and fails with EBUSY. */
    int place = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0) return;
    int mount = mount_number(place);
    if (mount >= 0 && is_device(mount, minor)) umount2(path, MNT_FORCE);
    close(place);
}

static void guard(const char *path, unsigned minor, pid_t daemon) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();
    close_range(0, ~0U, 0);
    prctl(PR_SET_NAME, "apusfs-guard", 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
    if (getppid() == daemon) {
        int signal = 0;
        while (signal != SIGUSR1 && signal != SIGUSR2) sigwait(&all, &signal);
        if (signal == SIGUSR2) _exit(0);
    }
    abort_connection(path, minor);
    _exit(0);
}

int apusfs_start_guard(const char *path, unsigned minor) {
    pid_t daemon = getpid();
    sigset_t all, before;
    sigfillset(&all);
    /* No handler of the daemon's runs in the guard. */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid_t started = fork();
    if (started == 0) guard(path, minor, daemon);
    int result = started > 0 ? started : -errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

void apusfs_end_guard(int process) {
    int status;
    kill(process, SIGUSR2);
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
}
