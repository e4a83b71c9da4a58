// One phase of the metadata suite: N files, P processes, one operation for each file.
//
//   metadata work|check PHASE DIRECTORY FILES PROCESSES shared|many
//
// `work` prints one line of JSON: operations, seconds from the common start to the last end, latency at
// the middle and at 99 %, and how many answers were wrong. `check` looks at what a change left behind
// and prints the same line without times.
// Files are `f<index>` of 4,096 bytes that follow from the index; each index belongs to one process.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROCESSES = 64, CONTENT = 4096, FILES_PER_DIRECTORY = 50 };

typedef struct {
    char path[4096];   // of the operation's file
    char other[4096];  // its new name
    long index;
    struct stat status;
    ssize_t length;
    unsigned char content[CONTENT + 1];
    long listed;
} operation;

typedef struct {
    const char *name;
    int (*run)(operation *);           // timed; -1 with errno on failure
    int (*is_right)(const operation *);  // after the time was taken
    const char *prefix;                // of the name that it works on
    int expected_errno;                // the failure that is right, or 0
} phase;

typedef struct {  // shared by all processes
    volatile int waiting, go;
    long wrong;
    char first[256];
} board;

static const char *base;
static long files;
static int processes, is_shared;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fill(unsigned char *content, long index) {
    uint64_t state = (uint64_t)index * 0x9E3779B97F4A7C15u + 1;
    for (int at = 0; at < CONTENT; at += 8) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(content + at, &state, 8);
    }
}

static void name_of(char *path, const char *prefix, long index) {
    if (is_shared)
        snprintf(path, 4096, "%s/%s%ld", base, prefix, index);
    else
        snprintf(path, 4096, "%s/d%ld/%s%ld", base, index / FILES_PER_DIRECTORY, prefix, index);
}

// Operations

static int run_create(operation *op) {
    int fd = open(op->path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    return fd < 0 ? -1 : close(fd);
}

static int run_create_write(operation *op) {
    int fd = open(op->path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0) return -1;
    op->length = write(fd, op->content, CONTENT);
    return close(fd);
}

static int run_read(operation *op) {
    int fd = open(op->path, O_RDONLY);
    if (fd < 0) return -1;
    op->length = read(fd, op->content, CONTENT + 1);
    return close(fd);
}

static int run_stat(operation *op) { return lstat(op->path, &op->status); }
static int run_rename(operation *op) { return rename(op->path, op->other); }
static int run_unlink(operation *op) { return unlink(op->path); }
static int run_mkdir(operation *op) { return mkdir(op->path, 0755); }
static int run_rmdir(operation *op) { return rmdir(op->path); }

// `ls -l` of one directory: `listed` counts entries whose lstat says a file of 4,096 bytes.
static int run_list(operation *op) {
    DIR *directory = opendir(op->path);
    if (!directory) return -1;
    op->listed = 0;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        struct stat status;
        if (entry->d_name[0] == '.') continue;
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW)) break;
        op->listed += S_ISREG(status.st_mode) && status.st_size == CONTENT;
    }
    return closedir(directory);
}

// Checks

static int whole_write(const operation *op) { return op->length == CONTENT; }
static int whole_file(const operation *op) {
    unsigned char wanted[CONTENT];
    fill(wanted, op->index);
    return op->length == CONTENT && !memcmp(wanted, op->content, CONTENT);
}
static int file_of_4k(const operation *op) {
    return S_ISREG(op->status.st_mode) && op->status.st_size == CONTENT && op->status.st_nlink == 1;
}
static int is_gone(const operation *op) {
    struct stat status;
    return lstat(op->path, &status) == -1 && errno == ENOENT;
}
static int is_empty_file(const operation *op) {
    struct stat status;
    return !lstat(op->path, &status) && S_ISREG(status.st_mode) && status.st_size == 0;
}
static int is_directory(const operation *op) {
    struct stat status;
    return !lstat(op->path, &status) && S_ISDIR(status.st_mode);
}
static int is_moved(const operation *op) {
    struct stat status;
    return is_gone(op) && !lstat(op->other, &status) && S_ISREG(status.st_mode);
}
static int lists_all(const operation *op) {
    long wanted = files;
    if (!is_shared) {
        long left = files - op->index * FILES_PER_DIRECTORY;
        wanted = left < FILES_PER_DIRECTORY ? left : FILES_PER_DIRECTORY;
    }
    return op->listed == wanted;
}

static const phase phases[] = {
    {"create", run_create, is_empty_file, "e", 0},
    {"unlink-empty", run_unlink, is_gone, "e", 0},
    {"create-write", run_create_write, whole_write, "f", 0},
    {"stat", run_stat, file_of_4k, "f", 0},
    {"negative", run_stat, NULL, "missing", ENOENT},
    {"list", run_list, lists_all, "", 0},
    {"read", run_read, whole_file, "f", 0},
    {"rename", run_rename, is_moved, "f", 0},
    {"unlink", run_unlink, is_gone, "r", 0},
    {"mkdir", run_mkdir, is_directory, "s", 0},
    {"rmdir", run_rmdir, is_gone, "s", 0},
};

static void report(board *shared, const operation *op, const char *problem) {
    if (__sync_fetch_and_add(&shared->wrong, 1) == 0)
        snprintf(shared->first, sizeof shared->first, "%.200s: %.40s", op->path, problem);
}

static void prepare(const phase *phase, operation *op, long index) {
    op->index = index;
    if (phase->run == run_list) {
        if (is_shared) snprintf(op->path, sizeof op->path, "%s", base);
        else snprintf(op->path, sizeof op->path, "%s/d%ld", base, index);
        return;
    }
    name_of(op->path, phase->prefix, index);
    if (phase->run == run_rename) name_of(op->other, "r", index);
    if (phase->run == run_create_write) fill(op->content, index);
}

static int is_change(const phase *phase) {
    return phase->run != run_read && phase->run != run_stat && phase->run != run_list;
}

// The share of process `own`: every P-th file of one directory, or a run of whole directories.
static void work(const phase *phase, board *shared, int own, uint64_t *latency, uint64_t *ends) {
    static operation op;
    long count = files, first = own, step = processes;
    if (phase->run == run_list) {
        count = is_shared ? processes : (files + FILES_PER_DIRECTORY - 1) / FILES_PER_DIRECTORY;
    } else if (!is_shared) {
        long directories = (files + FILES_PER_DIRECTORY - 1) / FILES_PER_DIRECTORY;
        first = directories * own / processes * FILES_PER_DIRECTORY;
        count = directories * (own + 1) / processes * FILES_PER_DIRECTORY;
        if (count > files) count = files;
        step = 1;
    }
    char touched[CONTENT];
    memset(touched, 0, sizeof touched);
    __sync_fetch_and_add(&shared->waiting, 1);
    while (!shared->go) usleep(100);
    for (long index = first; index < count; index += step) {
        prepare(phase, &op, index);
        uint64_t start = now();
        int result = phase->run(&op), error = errno;
        latency[index] = now() - start;
        if (phase->expected_errno) {
            if (result != -1) report(shared, &op, "it exists");
            else if (error != phase->expected_errno) report(shared, &op, strerror(error));
        } else if (result) {
            report(shared, &op, strerror(error));
        } else if (!is_change(phase) && !phase->is_right(&op)) {
            // Now, because the next answer overwrites it; comparing 4 KiB takes 0.3 us.
            report(shared, &op, "wrong answer");
        }
    }
    ends[own] = now();
}

static void check(const phase *phase, board *shared) {
    static operation op;
    for (long index = 0; is_change(phase) && index < files; index++) {
        prepare(phase, &op, index);
        op.length = CONTENT;
        if (phase->run == run_create_write && run_read(&op)) op.length = -1;
        int right = phase->run == run_create_write ? whole_file(&op) : phase->is_right(&op);
        if (!right) report(shared, &op, "not as it was left");
    }
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) perror("mmap"), exit(1);
    return memory;
}

static int make_directories(void) {
    for (long index = 0; !is_shared && index * FILES_PER_DIRECTORY < files; index++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/d%ld", base, index);
        if (mkdir(path, 0755) && errno != EEXIST) return perror(path), 1;
    }
    return 0;
}

static int print(const phase *phase, board *shared, uint64_t *latency, uint64_t seconds) {
    long operations = 0, samples = 0;
    for (long index = 0; index < files; index++)
        if (latency[index]) latency[samples++] = latency[index];
    qsort(latency, (size_t)samples, sizeof *latency, compare);
    operations = samples;
    if (phase->run == run_list) operations = is_shared ? files * processes : files;
    printf("{\"operations\": %ld, \"seconds\": %.6f, \"p50_microseconds\": %.1f, "
           "\"p99_microseconds\": %.1f, \"wrong\": %ld, \"first\": \"%s\"}\n",
           operations, (double)seconds / 1e9, (double)latency[samples / 2] / 1e3,
           (double)latency[samples * 99 / 100] / 1e3, shared->wrong, shared->first);
    return 0;
}

// Forks, lets all start together, and returns the nanoseconds until the last one ended.
static uint64_t work_in_processes(const phase *phase, board *shared, uint64_t *latency) {
    uint64_t *ends = shared_memory(MAX_PROCESSES * sizeof *ends);
    for (int own = 0; own < processes; own++) {
        pid_t child = fork();
        if (child < 0) perror("fork"), exit(1);
        if (child == 0) {
            work(phase, shared, own, latency, ends);
            _exit(0);
        }
    }
    while (shared->waiting < processes) usleep(100);
    uint64_t start = now(), end = start;
    shared->go = 1;
    for (int own = 0; own < processes; own++)
        if (wait(NULL) < 0) perror("wait"), exit(1);
    for (int own = 0; own < processes; own++)
        if (ends[own] > end) end = ends[own];
    return end - start;
}

int main(int count, char **words) {
    if (count != 7) {
        fprintf(stderr, "metadata work|check|prepare PHASE DIR FILES PROCESSES shared|many\n");
        return 2;
    }
    base = words[3], files = atol(words[4]), processes = atoi(words[5]);
    is_shared = !strcmp(words[6], "shared");
    if (files < processes || processes < 1 || processes > MAX_PROCESSES) return 2;
    if (!strcmp(words[1], "prepare")) return make_directories();
    const phase *phase = NULL;
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        if (!strcmp(phases[i].name, words[2])) phase = &phases[i];
    if (!phase) return fprintf(stderr, "no phase %s\n", words[2]), 2;

    board *shared = shared_memory(sizeof *shared);
    uint64_t *latency = shared_memory((size_t)files * sizeof *latency), taken = 0;
    if (!strcmp(words[1], "check")) check(phase, shared);
    else taken = work_in_processes(phase, shared, latency);
    return print(phase, shared, latency, taken);
}
