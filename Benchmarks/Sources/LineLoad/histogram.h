// Counts latencies in buckets a 64th apart, so that a million of them cost half a megabyte and no sorting.
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 * 59 };

struct histogram {
    int64_t counts[HISTOGRAM_BUCKETS];
    int64_t count;
    uint64_t max;
};

static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    int shift = value < 64 ? 0 : 57 - __builtin_clzll(value);
    histogram->counts[shift * 64 + (int)(value >> shift)]++;
    histogram->count++;
    if (value > histogram->max) histogram->max = value;
}

/// The value that `part` (0–1) of all values do not exceed, to within a 64th.
static inline double histogram_at(const struct histogram *histogram, double part) {
    int64_t seen = 0, wanted = (int64_t)(part * (double)histogram->count);
    for (int index = 0; index < HISTOGRAM_BUCKETS; index++) {
        seen += histogram->counts[index];
        if (seen <= wanted) continue;
        int shift = index < 64 ? 0 : index / 64 - 1;
        return (double)((uint64_t)(index - shift * 64) << shift);
    }
    return (double)histogram->max;
}

#endif
