// The ceiling of Redis: blocks set or got by raw pipelined connections that do nothing else.
//
//   pipelines set|get ADDRESS DATABASE BYTES BLOCKS CONNECTIONS DEPTH
//
// ADDRESS is the path of a unix socket or a port of the loopback interface. Each connection has a thread, which
// keeps DEPTH commands under way: writev(2) of header and payload, readv(2) of a payload straight to where it
// is wanted. hiredis would be a lower ceiling: it copies values twice. Prints one line of JSON; a reply that
// is not the one wanted ends the program with status 1.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "pattern.h"

enum { MAX_CONNECTIONS = 64 };

static const char *address;
static int database, is_set, connections, depth;
static long blocks;
static size_t length;
static unsigned char source[2 * MEBIBYTE];  // of the payloads
static atomic_int waiting, go;

typedef struct {
    pthread_t thread;
    int number, fd;
    char ahead[4096];  // what was received beyond the reply at hand
    size_t have, at;
    unsigned char *block;
} connection;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", address, what, errno ? strerror(errno) : "wrong answer");
    exit(1);
}

static int connect_to(void) {
    int fd, one = 1;
    if (address[0] == '/') {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(name.sun_path, sizeof name.sun_path, "%s", address);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name)) fail("connect");
        return fd;
    }
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void write_all(int fd, struct iovec *parts, int count) {
    while (count) {
        ssize_t written = writev(fd, parts, count);
        if (written < 0) fail("writev");
        for (; count && (size_t)written >= parts->iov_len; parts++, count--) written -= (ssize_t)parts->iov_len;
        if (count) parts->iov_base = (char *)parts->iov_base + written, parts->iov_len -= (size_t)written;
    }
}

// One line of a reply, without its end; it stays valid until the next is read.
static const char *line(connection *own) {
    for (;;) {
        char *end = memchr(own->ahead + own->at, '\n', own->have - own->at);
        if (end) {
            const char *start = own->ahead + own->at;
            end[-1] = 0;
            own->at = (size_t)(end + 1 - own->ahead);
            return start;
        }
        memmove(own->ahead, own->ahead + own->at, own->have - own->at);
        own->have -= own->at, own->at = 0;
        ssize_t received = read(own->fd, own->ahead + own->have, sizeof own->ahead - own->have);
        if (received <= 0) fail("read");
        own->have += (size_t)received;
    }
}

// A payload of `length` bytes with CR LF behind it into `block`.
static void payload(connection *own) {
    size_t wanted = length + 2, got = own->have - own->at;
    if (got > wanted) got = wanted;
    memcpy(own->block, own->ahead + own->at, got);
    own->at += got;
    while (got < wanted) {
        own->at = own->have = 0;
        struct iovec parts[] = {{own->block + got, wanted - got}, {own->ahead, sizeof own->ahead}};
        ssize_t received = readv(own->fd, parts, 2);
        if (received <= 0) fail("readv");
        if ((size_t)received > wanted - got) own->have = (size_t)received - (wanted - got);
        got += (size_t)received < wanted - got ? (size_t)received : wanted - got;
    }
}

static const unsigned char *content(long block) { return source + block % PAGES_PER_MEBIBYTE * PAGE; }

static void send_command(connection *own, long block) {
    char head[128], key[32];
    int named = snprintf(key, sizeof key, "ceiling:%ld", block);
    if (!is_set) {
        int bytes = snprintf(head, sizeof head, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", named, key);
        write_all(own->fd, (struct iovec[]){{head, (size_t)bytes}}, 1);
        return;
    }
    int bytes = snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%zu\r\n", named, key, length);
    struct iovec parts[] = {{head, (size_t)bytes}, {(void *)content(block), length}, {"\r\n", 2}};
    write_all(own->fd, parts, 3);
}

static void receive_reply(connection *own, long block) {
    const char *head = line(own);
    errno = 0;
    if (is_set) {
        if (strcmp(head, "+OK")) fail(head);
        return;
    }
    if (head[0] != '$' || (size_t)atol(head + 1) != length) fail(head);
    payload(own);
    errno = 0;
    if (memcmp(own->block, content(block), 64) || memcmp(own->block + length, "\r\n", 2)) fail("GET");
}

static void *work(void *argument) {
    connection *own = argument;
    char select[64];
    int bytes = snprintf(select, sizeof select, "SELECT %d\r\n", database);
    own->fd = connect_to();
    own->block = calloc(1, length + 2);
    if (!own->block) fail("memory");
    memset(own->block, 1, length + 2);  // its pages are there
    write_all(own->fd, (struct iovec[]){{select, (size_t)bytes}}, 1);
    errno = 0;
    if (strcmp(line(own), "+OK")) fail("SELECT");
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&go)) usleep(100);
    long sent = own->number, answered = own->number;
    while (answered < blocks) {
        for (; sent < blocks && sent < answered + (long)depth * connections; sent += connections)
            send_command(own, sent);
        receive_reply(own, answered);
        answered += connections;
    }
    close(own->fd);
    return NULL;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **words) {
    static connection all[MAX_CONNECTIONS];
    if (count != 8) return fprintf(stderr, "pipelines: seven words, see the head of pipelines.c\n"), 2;
    is_set = !strcmp(words[1], "set");
    address = words[2], database = atoi(words[3]), length = (size_t)atol(words[4]), blocks = atol(words[5]);
    connections = atoi(words[6]), depth = atoi(words[7]);
    if (length < 64 || length > MEBIBYTE || depth < 1) return 2;
    if (connections < 1 || connections > MAX_CONNECTIONS) return 2;
    fill_mebibyte(source);
    memcpy(source + MEBIBYTE, source, MEBIBYTE);
    for (int i = 0; i < connections; i++) {
        all[i].number = i;
        if (pthread_create(&all[i].thread, NULL, work, &all[i])) fail("thread");
    }
    while (atomic_load(&waiting) < connections) usleep(100);
    double used = cpu_seconds();
    uint64_t start = now();
    atomic_store(&go, 1);
    for (int i = 0; i < connections; i++) pthread_join(all[i].thread, NULL);
    printf("{\"operations\": %ld, \"bytes\": %zu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", blocks,
           (size_t)blocks * length, (double)(now() - start) / 1e9, cpu_seconds() - used);
    return 0;
}
