// The client of the ceilings: requests on one file in a tight loop.
//
//   requests fill FILE MEBIBYTES              writes the file (pattern.h), to be read by the others
//   requests check FILE MEBIBYTES             reads all of it, direct, and looks at every page
//   requests getattr FILE THREADS SECONDS     statx that has to ask the filesystem
//   requests read FILE THREADS SECONDS BYTES  direct reads of BYTES, anywhere in the file
//   requests write FILE MEBIBYTES direct|buffered   1 MiB at a time, and one fsync
//   requests stream FILE MEBIBYTES direct|buffered  reads it, 1 MiB at a time, from start to end
//
// Prints one line of JSON. Every answer is looked at, and the first wrong one ends the program with status 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pattern.h"

enum { MAX_THREADS = 64, MAX_SAMPLES = 1 << 20 };

static const char *path;
static uint64_t size, deadline;
static size_t length;
static atomic_int waiting, go;

typedef struct {
    pthread_t thread;
    int number;
    uint64_t operations, end, samples;
    uint32_t *latency;  // nanoseconds of the first MAX_SAMPLES
} worker;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", path, what, errno ? strerror(errno) : "wrong answer");
    exit(1);
}

static int open_file(int flags) {
    int fd = open(path, flags, 0644);
    if (fd < 0) fail("open");
    return fd;
}

static unsigned char *buffer(size_t bytes) {
    void *memory;
    if (posix_memalign(&memory, MEBIBYTE, bytes)) fail("memory");
    memset(memory, 0, bytes);
    return memory;
}

static void getattr_once(int fd) {
    struct statx status;
    // FORCE_SYNC: the kernel may not answer from what it knows.
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status)) fail("statx");
    errno = 0;
    if (status.stx_size != size || !S_ISREG(status.stx_mode)) fail("statx");
}

static void read_once(int fd, unsigned char *bytes, uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    uint64_t offset = *state % (size / length) * length;
    if (pread(fd, bytes, length, (off_t)offset) != (ssize_t)length) fail("pread");
    errno = 0;
    if (!is_stamped(bytes, length, offset / PAGE)) fail("pread");
}

static void *work(void *argument) {
    worker *own = argument;
    int fd = open_file(length ? O_RDONLY | O_DIRECT : O_RDONLY);
    unsigned char *bytes = buffer(MEBIBYTE);
    uint64_t state = stamp_of((uint64_t)own->number);
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&go)) usleep(100);
    for (uint64_t start = now(); start < deadline; start = own->end) {
        if (length) read_once(fd, bytes, &state);
        else getattr_once(fd);
        own->end = now();
        own->operations++;
        if (own->samples < MAX_SAMPLES) own->latency[own->samples++] = (uint32_t)(own->end - start);
    }
    close(fd);
    free(bytes);
    return NULL;
}

static int by_value(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void repeat(int threads, double seconds) {
    static worker workers[MAX_THREADS];
    if (threads < 1 || threads > MAX_THREADS) fail("threads");
    for (int i = 0; i < threads; i++) {
        workers[i] = (worker){.number = i, .latency = malloc(MAX_SAMPLES * sizeof(uint32_t))};
        if (!workers[i].latency || pthread_create(&workers[i].thread, NULL, work, &workers[i]))
            fail("thread");
    }
    while (atomic_load(&waiting) < threads) usleep(100);
    uint64_t start = now(), end = start, operations = 0, samples = 0;
    deadline = start + (uint64_t)(seconds * 1e9);
    atomic_store(&go, 1);
    uint32_t *all = malloc((size_t)threads * MAX_SAMPLES * sizeof *all);
    if (!all) fail("memory");
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        operations += workers[i].operations;
        if (workers[i].end > end) end = workers[i].end;
        memcpy(all + samples, workers[i].latency, workers[i].samples * sizeof *all);
        samples += workers[i].samples;
    }
    if (!samples) fail("nothing was done");
    qsort(all, samples, sizeof *all, by_value);
    printf("{\"operations\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"p50_microseconds\": %.2f, "
           "\"p99_microseconds\": %.2f}\n",
           (unsigned long long)operations, (unsigned long long)(operations * length),
           (double)(end - start) / 1e9, all[samples / 2] / 1e3, all[samples * 99 / 100] / 1e3);
}

static void print(uint64_t bytes, uint64_t start) {
    printf("{\"operations\": %llu, \"bytes\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)(bytes / MEBIBYTE), (unsigned long long)bytes, (double)(now() - start) / 1e9);
}

static void write_file(int flags) {
    unsigned char *bytes = buffer(MEBIBYTE);
    fill_mebibyte(bytes);
    uint64_t start = now();
    int fd = open_file(O_WRONLY | O_CREAT | O_TRUNC | flags);
    for (uint64_t at = 0; at < size; at += MEBIBYTE) {
        stamp(bytes, MEBIBYTE, at / PAGE);
        if (pwrite(fd, bytes, MEBIBYTE, (off_t)at) != MEBIBYTE) fail("pwrite");
    }
    if (fsync(fd) || close(fd)) fail("fsync");
    print(size, start);
}

static void read_file(int flags) {
    unsigned char *bytes = buffer(MEBIBYTE);
    uint64_t start = now();
    int fd = open_file(O_RDONLY | flags);
    for (uint64_t at = 0; at < size; at += MEBIBYTE) {
        if (pread(fd, bytes, MEBIBYTE, (off_t)at) != MEBIBYTE) fail("pread");
        errno = 0;
        if (!is_stamped(bytes, MEBIBYTE, at / PAGE)) fail("pread");
    }
    close(fd);
    print(size, start);
}

int main(int count, char **words) {
    if (count < 4) return fprintf(stderr, "requests MODE FILE …: see the head of requests.c\n"), 2;
    const char *mode = words[1];
    path = words[2];
    int direct = count > 4 && !strcmp(words[4], "direct") ? O_DIRECT : 0;
    size = (uint64_t)atol(words[3]) * MEBIBYTE;
    if (!strcmp(mode, "fill")) return write_file(0), 0;
    if (!strcmp(mode, "check")) return read_file(O_DIRECT), 0;
    if (!strcmp(mode, "write") && count == 5) return write_file(direct), 0;
    if (!strcmp(mode, "stream") && count == 5) return read_file(direct), 0;
    struct stat status;
    if (stat(path, &status)) fail("stat");
    size = (uint64_t)status.st_size;
    if (!strcmp(mode, "read") && count == 6) length = (size_t)atol(words[5]);
    else if (strcmp(mode, "getattr") || count != 5) return fprintf(stderr, "no mode %s\n", mode), 2;
    if (length % PAGE || length > MEBIBYTE || size < MEBIBYTE) return fprintf(stderr, "sizes\n"), 2;
    repeat(atoi(words[3]), atof(words[4]));
    return 0;
}
