// The training kernels, compiled once for each instruction set and kind of number: NEURO_REAL is float or double,
// NEURO_KERNELS the name of the result. Double is built with -ffp-contract=off: its operations, in the order written, are those
// of the golden model, on every instruction set.
#include "isa.h"

#include "backward.h"
#include "forward.h"

namespace {

using Real = NEURO_REAL;

template <class L>
bool forward_block(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
                   std::int64_t block) {
    const Scratch scratch(static_cast<std::size_t>(Forward<L>::bytes(net, in)));
    if (!scratch) return false;
    Forward<L>(net, in, tape, out, block, scratch.begin()).run();
    return true;
}

template <class L>
bool backward_group(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape,
                    const NeuroLsnnGradient& grad, std::int64_t group) {
    const Scratch scratch(static_cast<std::size_t>(Backward<L>::bytes(net)));
    if (!scratch) return false;
    Backward<L> run(net, in, tape, grad, group, scratch.begin());
    const std::int64_t end = neuro::first_block(group + 1, grad.n_groups, in.n_blocks);
    for (std::int64_t b = neuro::first_block(group, grad.n_groups, in.n_blocks); b < end; ++b) run.run(b);
    run.finish();
    return true;
}

template <int kLanes>
bool forward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
             std::int64_t block) {
    using Short = Lanes<Real, kLanes, ShortIndex>;
    using Row = Lanes<Real, kLanes, RowIndex>;
    if (fits<Short>(net, Forward<Short>::n_slots(net))) return forward_block<Short>(net, in, tape, out, block);
    if (fits<Row>(net, Forward<Row>::n_slots(net))) return forward_block<Row>(net, in, tape, out, block);
    return forward_block<Lanes<Real, kLanes, LongIndex>>(net, in, tape, out, block);
}

template <int kLanes>
bool backward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnGradient& grad,
              std::int64_t group) {
    using Short = Lanes<Real, kLanes, ShortIndex>;
    using Row = Lanes<Real, kLanes, RowIndex>;
    if (fits<Short>(net, Backward<Short>::n_slots(net))) return backward_group<Short>(net, in, tape, grad, group);
    if (fits<Row>(net, Backward<Row>::n_slots(net))) return backward_group<Row>(net, in, tape, grad, group);
    return backward_group<Lanes<Real, kLanes, LongIndex>>(net, in, tape, grad, group);
}

bool forward_any(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
                 std::int64_t block) {
    switch (in.lanes) {
        case 8: return forward<8>(net, in, tape, out, block);
        case 16: return forward<16>(net, in, tape, out, block);
        default: return forward<32>(net, in, tape, out, block);
    }
}

bool backward_any(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnGradient& grad,
                  std::int64_t group) {
    switch (in.lanes) {
        case 8: return backward<8>(net, in, tape, grad, group);
        case 16: return backward<16>(net, in, tape, grad, group);
        default: return backward<32>(net, in, tape, grad, group);
    }
}

std::int64_t count_places(std::int64_t n, const void* numbers) {
    const Real* const weight = static_cast<const Real*>(numbers);
    std::int64_t count = 0;
    for (std::int64_t k = 0; k < n; ++k) count += weight[k] != 0;
    return count;
}

std::int64_t find_places(std::int64_t n, const void* numbers, std::int64_t first, std::int64_t* places) {
    const Real* const weight = static_cast<const Real*>(numbers);
    std::int64_t count = 0, k = 0;
#if defined(__AVX512F__)
    if constexpr (sizeof(Real) == 4) {
        const __m512i ramp = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        for (; k + 16 <= n; k += 16) {
            unsigned set = _mm512_cmp_ps_mask(_mm512_loadu_ps(weight + k), _mm512_setzero_ps(), _CMP_NEQ_UQ);
            for (int half = 0; half < 2; ++half, set >>= 8) {
                const __m512i at = _mm512_add_epi64(ramp, _mm512_set1_epi64(first + k + 8 * half));
                _mm512_storeu_si512(places + count, _mm512_maskz_compress_epi64(static_cast<__mmask8>(set), at));
                count += __builtin_popcount(set & 0xff);
            }
        }
    }
#endif
    for (; k < n; ++k) {  // no branch that half of them would miss
        places[count] = first + k;
        count += weight[k] != 0;
    }
    return count;
}

}  // namespace

namespace neuro {

const LsnnKernels NEURO_KERNELS{forward_any, backward_any, count_places, find_places};

}  // namespace neuro
