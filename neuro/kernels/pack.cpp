// Write synapses as the words that packed.h delivers. Sizes are checked by the owner, neuro/engine/packing.py, where the twin is.

#include <algorithm>
#include <cstdint>

namespace {

constexpr std::int64_t kChunk = 8;  // words

// The synapses of one projection, and where their words go.
struct Synapses {
    const std::int64_t* row;
    const std::int32_t *post, *delay;
    const double* weight;
    double unit;
    std::int64_t first_target;
    const std::int64_t* bound;
    std::int64_t lag, stride, bits;

    // Call write(part, word) for each word of a sender's row; parts ascend.
    template <class Write>
    void words(std::int64_t pre, const Write& write) const {
        const std::int64_t most = (std::int64_t{1} << (63 - bits)) - 1;
        std::int64_t h = 0;
        for (std::int64_t k = row[pre]; k < row[pre + 1]; ++k) {
            const std::int64_t target = first_target + post[k];
            while (target >= bound[h + 1]) ++h;
            const std::int64_t place = (delay[k] - lag) * stride + target - bound[h];
            auto left = static_cast<std::int64_t>(weight[k] / unit);
            do {
                const std::int64_t some = std::clamp(left, -most, most);
                write(h, static_cast<std::int64_t>(static_cast<std::uint64_t>(some) << bits) | place);
                left -= some;
            } while (left);
        }
    }
};

}  // namespace

// Write to chunk, (n_parts, n_sources + 1), where the words of each part of each sender's row begin, counted in chunks; return how many
// chunks there are. Where word is given, write the words too: each row is filled up with weights of 0, beside its last place.
extern "C" __attribute__((visibility("default"))) std::int64_t neuro_pack(
    const std::int64_t* row, std::int64_t n_sources, const std::int32_t* post, const std::int32_t* delay, const double* weight,
    double unit, std::int64_t first_target, const std::int64_t* bound, std::int64_t n_parts, std::int64_t lag, std::int64_t stride,
    std::int64_t bits, std::uint32_t* chunk, std::int64_t* word) {
    const Synapses synapses{row, post, delay, weight, unit, first_target, bound, lag, stride, bits};
    const std::int64_t mask = (std::int64_t{1} << bits) - 1, width = n_sources + 1;
    if (!word) {
        for (std::int64_t h = 0; h < n_parts; ++h) std::fill(chunk + h * width, chunk + (h + 1) * width, 0u);
        for (std::int64_t i = 0; i < n_sources; ++i)
            synapses.words(i, [&](std::int64_t h, std::int64_t) { ++chunk[h * width + i]; });
        std::uint32_t n = 0;
        for (std::int64_t h = 0; h < n_parts; ++h)
            for (std::int64_t i = 0; i < width; ++i) {
                const std::uint32_t mine = (chunk[h * width + i] + kChunk - 1) / kChunk;
                chunk[h * width + i] = n;
                n += mine;
            }
        return n;
    }
    for (std::int64_t i = 0; i < n_sources; ++i) {
        std::int64_t part = -1, *to = nullptr, *end = nullptr, last = 0;
        const auto fill = [&] {
            while (to != end) *to++ = last = (last + 1) & mask;  // no two add to one place: a sum would wait for the one before
        };
        synapses.words(i, [&](std::int64_t h, std::int64_t x) {
            if (h != part) {
                fill();
                part = h;
                to = word + kChunk * chunk[h * width + i];
                end = word + kChunk * chunk[h * width + i + 1];
            }
            *to++ = x;
            last = x & mask;
        });
        fill();
    }
    return chunk[n_parts * width - 1];
}
