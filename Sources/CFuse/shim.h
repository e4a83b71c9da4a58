#pragma once
/*
 * Swift's own module of libc first: its include guards then keep libfuse's includes from defining struct stat,
 * timespec and iovec once more, as if they were this module's.
 */
#if __has_feature(modules)
#pragma clang module import SwiftGlibc
#endif
/* A plain number: FUSE_MAKE_VERSION is not defined yet at this point. */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
/* The wire structs of the kernel's protocol (from libc6-dev), for replies that libfuse 3.14 cannot encode. */
#include <linux/fuse.h>
