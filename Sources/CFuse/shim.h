#pragma once
/* A plain number: FUSE_MAKE_VERSION is not defined yet at this point. */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
