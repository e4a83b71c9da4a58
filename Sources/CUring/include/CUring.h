#pragma once
/*
 * FUSE over io_uring: the kernel's structs of it (linux/fuse.h of protocol 7.42, which is newer than Debian 12's) and
 * the few calls of liburing that serve one thread of it. Own prototypes only, as in CLinux.h.
 */
#include <stddef.h>
#include <stdint.h>

/* struct fuse_uring_ent_in_out: facts of one request or answer. */
struct apusfs_uring_facts {
    uint64_t flags;
    /* Names the request when it is answered. */
    uint64_t commit_id;
    /* Bytes in the payload: what follows the operation's own header in a request, all but the header in an answer. */
    uint32_t payload_bytes;
    uint32_t padding;
    uint64_t reserved;
};

/* struct fuse_uring_req_header: what stands beside the payload of an entry. */
enum { APUSFS_URING_HEADER_BYTES = 128 };
struct apusfs_uring_header {
    /* struct fuse_in_header, then struct fuse_out_header. */
    uint8_t in_out[APUSFS_URING_HEADER_BYTES];
    /* The operation's own header, as fuse_create_in. */
    uint8_t operation[APUSFS_URING_HEADER_BYTES];
    struct apusfs_uring_facts facts;
};

/* A ring with room for `entries` commands. It is used by the one thread that first calls `apusfs_ring_begin`. */
struct apusfs_ring;

/* NULL with an errno in `error`. `device` is the descriptor of the FUSE connection, `queue` a CPU's number. */
struct apusfs_ring *apusfs_ring_create(unsigned entries, int device, uint16_t queue, int *error);
/* After its thread is gone. Commands that the kernel still holds are given up. */
void apusfs_ring_free(struct apusfs_ring *ring);

/* Makes the calling thread the ring's own. Returns 0 or an errno. */
int apusfs_ring_begin(struct apusfs_ring *ring);

/*
 * Each adds one command, which `apusfs_ring_wait` hands to the kernel; `data` comes back with its completion. They
 * return 0, or EBUSY when there is no room.
 */
/* Offers an entry: its header, and memory for at least the largest request that INIT settled. */
int apusfs_ring_offer(
    struct apusfs_ring *ring, struct apusfs_uring_header *header, void *payload, size_t payload_bytes, uint64_t data);
/* Answers the request `commit_id` and offers its entry again. */
int apusfs_ring_answer(struct apusfs_ring *ring, uint64_t commit_id, uint64_t data);
/* Completes when `descriptor`, an eventfd(2), can be read. */
int apusfs_ring_watch(struct apusfs_ring *ring, int descriptor, uint64_t data);

/* Hands over what was added. Returns 0 or an errno. */
int apusfs_ring_submit(struct apusfs_ring *ring);
/* Hands over what was added and waits for a completion: one system call. Returns 0 or an errno. */
int apusfs_ring_wait(struct apusfs_ring *ring);
/* Takes one completion: 1 with `data` and the command's `result` (0 or more, or -errno), or 0 when there is none. */
int apusfs_ring_take(struct apusfs_ring *ring, uint64_t *data, int32_t *result);

/* eventfd(2) that is closed on exec. A descriptor, or -errno. */
int apusfs_event_create(void);
void apusfs_event_signal(int descriptor);
/* Does not wait. */
void apusfs_event_clear(int descriptor);

/* sched_setaffinity(2) of the calling thread to one CPU. Returns 0 or an errno. */
int apusfs_pin_thread(unsigned cpu);
