// The ceiling of FUSE: a daemon that holds one file in memory and does nothing but answer.
//
//   memfile MOUNTPOINT MEBIBYTES THREADS
//
// libfuse's low-level API over /dev/fuse, as ApusFS uses it with `--transport device`: its multithreaded
// loop, no splice, replies of up to 1 MiB by writev from where the bytes are. The root directory holds `data`,
// whose content is that of pattern.h. It ends when it is unmounted or told to.
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pattern.h"

enum { DATA = FUSE_ROOT_ID + 1 };
static const double TIMEOUT_SECONDS = 60;  // as ApusFS' own

static unsigned char *content;
static size_t size;

static int attributes(fuse_ino_t inode, struct stat *status) {
    memset(status, 0, sizeof *status);
    status->st_ino = inode;
    if (inode == FUSE_ROOT_ID) {
        status->st_mode = S_IFDIR | 0755, status->st_nlink = 2;
    } else if (inode == DATA) {
        status->st_mode = S_IFREG | 0644, status->st_nlink = 1;
        status->st_size = (off_t)size, status->st_blocks = (blkcnt_t)(size / 512);
    } else {
        return ENOENT;
    }
    return 0;
}

static void on_init(void *user, struct fuse_conn_info *connection) {
    (void)user;
    connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    struct fuse_entry_param entry = {.ino = DATA, .attr_timeout = TIMEOUT_SECONDS,
                                     .entry_timeout = TIMEOUT_SECONDS};
    if (parent != FUSE_ROOT_ID || strcmp(name, "data")) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    attributes(DATA, &entry.attr);
    fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file) {
    (void)file;
    struct stat status;
    int error = attributes(inode, &status);
    if (error) fuse_reply_err(request, error);
    else fuse_reply_attr(request, &status, TIMEOUT_SECONDS);
}

static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file) {
    file->keep_cache = 1;
    if (inode == DATA) fuse_reply_open(request, file);
    else fuse_reply_err(request, EISDIR);
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t count, off_t offset,
                    struct fuse_file_info *file) {
    (void)inode, (void)file;
    size_t start = (size_t)offset < size ? (size_t)offset : size;
    fuse_reply_buf(request, (const char *)content + start, count < size - start ? count : size - start);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init, .lookup = on_lookup, .getattr = on_getattr, .open = on_open, .read = on_read};

int main(int count, char **words) {
    if (count != 4) return fprintf(stderr, "memfile MOUNTPOINT MEBIBYTES THREADS\n"), 2;
    size = (size_t)atol(words[2]) * MEBIBYTE;
    content = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (content == MAP_FAILED) return perror("mmap"), 1;
    for (size_t at = 0; at < size; at += MEBIBYTE) fill_mebibyte(content + at);
    stamp(content, size, 0);

    char *names[] = {"memfile", "-ofsname=memfile,subtype=memfile,default_permissions"};
    struct fuse_args arguments = FUSE_ARGS_INIT(2, names);
    struct fuse_session *session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
    if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, words[1])) return 1;
    struct fuse_loop_config *configuration = fuse_loop_cfg_create();
    if (!configuration) return 1;
    fuse_loop_cfg_set_max_threads(configuration, (unsigned)atoi(words[3]));
    fuse_loop_cfg_set_clone_fd(configuration, 0);
    int result = fuse_session_loop_mt(session, configuration);
    fuse_loop_cfg_destroy(configuration);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return result < 0;
}
