#define _GNU_SOURCE
#include "CUring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* linux/fuse.h, protocol 7.42. */
enum { FUSE_IO_URING_CMD_REGISTER = 1, FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2 };
struct fuse_uring_cmd_req {
    uint64_t flags;
    uint64_t commit_id;
    uint16_t qid;
    uint8_t padding[6];
};
_Static_assert(sizeof(struct apusfs_uring_facts) == 32, "struct fuse_uring_ent_in_out");
_Static_assert(sizeof(struct apusfs_uring_header) == 288, "struct fuse_uring_req_header");

struct apusfs_ring {
    struct io_uring ring;
    int device;
    uint16_t queue;
};

struct apusfs_ring *apusfs_ring_create(unsigned entries, int device, uint16_t queue, int *error) {
    struct apusfs_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    ring->device = device;
    ring->queue = queue;
    /* One thread submits, and does the kernel's part of the work when it waits; enabled by `apusfs_ring_begin`. */
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
    };
    int result = io_uring_queue_init_params(entries, &ring->ring, &parameters);
    if (result < 0) {
        *error = -result;
        free(ring);
        return NULL;
    }
    return ring;
}

void apusfs_ring_free(struct apusfs_ring *ring) {
    io_uring_queue_exit(&ring->ring);
    free(ring);
}

/* liburing 2.3 as Debian 12 builds it declares io_uring_enable_rings without having it. */
int apusfs_ring_begin(struct apusfs_ring *ring) {
    int result = (int)syscall(__NR_io_uring_register, ring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result < 0 ? errno : 0;
}

/* A full queue is handed to the kernel, which empties it. */
static struct io_uring_sqe *room(struct apusfs_ring *ring) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    if (entry == NULL && io_uring_submit(&ring->ring) > 0) entry = io_uring_get_sqe(&ring->ring);
    return entry;
}

static struct io_uring_sqe *command(struct apusfs_ring *ring, unsigned operation, uint64_t commit_id, uint64_t data) {
    struct io_uring_sqe *entry = room(ring);
    if (entry == NULL) return NULL;
    memset(entry, 0, 2 * sizeof *entry);
    entry->opcode = IORING_OP_URING_CMD;
    entry->fd = ring->device;
    entry->cmd_op = operation;
    entry->user_data = data;
    struct fuse_uring_cmd_req request = {.commit_id = commit_id, .qid = ring->queue};
    memcpy(entry->cmd, &request, sizeof request);
    return entry;
}

int apusfs_ring_offer(
    struct apusfs_ring *ring, struct apusfs_uring_header *header, void *payload, size_t payload_bytes, uint64_t data) {
    struct io_uring_sqe *entry = command(ring, FUSE_IO_URING_CMD_REGISTER, 0, data);
    if (entry == NULL) return EBUSY;
    struct iovec places[2] = {{header, sizeof *header}, {payload, payload_bytes}};
    /* The kernel reads the places while it takes the command. */
    entry->addr = (uint64_t)(uintptr_t)places;
    entry->len = 2;
    int result = io_uring_submit(&ring->ring);
    return result < 0 ? -result : 0;
}

int apusfs_ring_answer(struct apusfs_ring *ring, uint64_t commit_id, uint64_t data) {
    return command(ring, FUSE_IO_URING_CMD_COMMIT_AND_FETCH, commit_id, data) == NULL ? EBUSY : 0;
}

int apusfs_ring_watch(struct apusfs_ring *ring, int descriptor, uint64_t data) {
    struct io_uring_sqe *entry = room(ring);
    if (entry == NULL) return EBUSY;
    io_uring_prep_poll_add(entry, descriptor, POLLIN);
    entry->user_data = data;
    return 0;
}

int apusfs_ring_submit(struct apusfs_ring *ring) {
    int result = io_uring_submit(&ring->ring);
    return result < 0 ? -result : 0;
}

/* linux/io_uring.h of Linux 6.15, which liburing 2.3 does not know: a thread that waits for requests waits for no disk. */
enum { FEATURE_NO_IOWAIT = 1u << 17, ENTER_NO_IOWAIT = 1u << 7 };

/* What io_uring_submit_and_wait does, with a flag more. */
int apusfs_ring_wait(struct apusfs_ring *ring) {
    struct io_uring_sq *queue = &ring->ring.sq;
    unsigned mask = queue->ring_mask, tail = *queue->ktail;
    for (; queue->sqe_head != queue->sqe_tail; queue->sqe_head++, tail++) queue->array[tail & mask] = queue->sqe_head & mask;
    io_uring_smp_store_release(queue->ktail, tail);
    unsigned count = tail - io_uring_smp_load_acquire(queue->khead);
    unsigned flags = IORING_ENTER_GETEVENTS;
    if (ring->ring.features & FEATURE_NO_IOWAIT) flags |= ENTER_NO_IOWAIT;
    long result = syscall(__NR_io_uring_enter, ring->ring.ring_fd, count, 1, flags, NULL, 0);
    return result < 0 && errno != EINTR ? errno : 0;
}

int apusfs_ring_take(struct apusfs_ring *ring, uint64_t *data, int32_t *result) {
    struct io_uring_cqe *completion;
    if (io_uring_peek_cqe(&ring->ring, &completion) != 0) return 0;
    *data = completion->user_data;
    *result = completion->res;
    io_uring_cqe_seen(&ring->ring, completion);
    return 1;
}

int apusfs_event_create(void) {
    int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

void apusfs_event_signal(int descriptor) {
    uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void apusfs_event_clear(int descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) continue;
}

int apusfs_pin_thread(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= CPU_SETSIZE) return EINVAL;
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}
