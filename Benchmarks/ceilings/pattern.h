// The bytes that the ceilings move: they do not compress, and each page says where it belongs.
#pragma once
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, MEBIBYTE = 1 << 20, PAGES_PER_MEBIBYTE = MEBIBYTE / PAGE };

static inline uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// The first word of a page, by its number in the file.
static inline uint64_t stamp_of(uint64_t page) { return (page + 1) * 0x9E3779B97F4A7C15u; }

// Everything but the stamps is the same in every mebibyte of a file.
static inline void fill_mebibyte(unsigned char *bytes) {
    uint64_t state = 0x2545F4914F6CDD1Du;
    for (size_t at = 0; at < MEBIBYTE; at += 8) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(bytes + at, &state, 8);
    }
}

// `page` is the number in the file of the first page of `bytes`.
static inline void stamp(unsigned char *bytes, size_t length, uint64_t page) {
    for (size_t at = 0; at < length; at += PAGE, page++) {
        uint64_t word = stamp_of(page);
        memcpy(bytes + at, &word, sizeof word);
    }
}

static inline int is_stamped(const unsigned char *bytes, size_t length, uint64_t page) {
    for (size_t at = 0; at < length; at += PAGE, page++) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof word);
        if (word != stamp_of(page)) return 0;
    }
    return 1;
}
