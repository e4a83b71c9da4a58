#pragma once
/*
 * Processes, locks on files and unmounting, for the command line. As in CLinux.h: own prototypes only.
 * Where an int is returned, it is 0 or an errno, unless said otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Overwrites `length` bytes of an argument of this process, from `offset` on, with '*': what ps(1) shows. */
void apusfs_mask_argument(int index, size_t offset, size_t length);

/* flock(2). Waits, unless `wait` is false: then EWOULDBLOCK when somebody else holds the lock. */
int apusfs_lock_file(int descriptor, bool exclusive, bool wait);
int apusfs_unlock_file(int descriptor);

/* A descriptor that polls readable once the process has ended (pidfd_open(2)), or -errno. */
int apusfs_process_descriptor(int process);

/* The process that listens on the other side of a connected unix socket (SO_PEERCRED), or -errno. */
int apusfs_peer_process(int socket);

/* pipe2(2) with O_CLOEXEC, so that a program started meanwhile inherits neither end. */
int apusfs_pipe(int ends[2]);

/* Closes every descriptor from `first` on in this process. */
void apusfs_close_descriptors(int first);

/*
 * Starts a program (posix_spawn(3)): no signal blocked or ignored, `kept[i]` as its descriptor i, all others
 * closed; in a session of its own, away from the terminal's signals, if so wished. Returns its id, or -errno.
 */
int apusfs_spawn(const char *path, char *const arguments[], char *const environment[],
                 const int *kept, int kept_count, bool own_session);

/*
 * No memory of this process gets into a core file (RLIMIT_CORE) or to a program that collects them, and none of
 * the same user may read it (PR_SET_DUMPABLE). Programs that it starts have the limit, too.
 */
int apusfs_forbid_core_dumps(void);

/*
 * Capabilities with a 1 at their number stay as they are; all others are taken from the calling thread, from
 * threads that it starts later, and from the bound of programs that they start (capabilities(7)).
 */
int apusfs_keep_capabilities(uint64_t kept);

/* One message to the system's log (syslog(3)), as program `apusfs`, facility daemon. */
void apusfs_system_log(int priority, const char *message);
