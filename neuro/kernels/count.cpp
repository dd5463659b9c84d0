// Count synaptic events of spikes that were sent. Sizes are checked by the owner, neuro/engine/counting.py; the twins are those of
// neuro/recording/counts.py.

#include <cstdint>

// Write to total, (batch,), how many synapses the spikes of each sample have: spikes begin[b]..begin[b + 1] - 1 are those of sample b.
extern "C" __attribute__((visibility("default"))) void neuro_count_sent(const std::int64_t* row, const std::int32_t* unit,
                                                                        const std::int64_t* begin, std::int64_t batch,
                                                                        std::int64_t* total) {
    for (std::int64_t b = 0; b < batch; ++b) {
        std::int64_t sum = 0;
        for (std::int64_t k = begin[b]; k < begin[b + 1]; ++k) sum += row[unit[k] + 1] - row[unit[k]];
        total[b] = sum;
    }
}

// Add to total, (batch,), how many synapses spikes do not reach in `left` steps.
extern "C" __attribute__((visibility("default"))) void neuro_count_missed(const std::int64_t* row, const std::int32_t* delay,
                                                                          const std::int32_t* sample, const std::int32_t* left,
                                                                          const std::int32_t* unit, std::int64_t n,
                                                                          std::int64_t* total) {
    for (std::int64_t k = 0; k < n; ++k) {
        const std::int32_t limit = left[k];
        std::int64_t sum = 0;
        for (const std::int32_t *d = delay + row[unit[k]], *end = delay + row[unit[k] + 1]; d < end; ++d) sum += *d >= limit;
        total[sample[k]] += sum;
    }
}
