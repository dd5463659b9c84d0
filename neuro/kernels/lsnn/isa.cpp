// The training kernels, compiled once for each instruction set and kind of number: NEURO_REAL is float or double,
// NEURO_KERNELS the name of the result. Double is built with -ffp-contract=off: its operations, in the order written, are those
// of the golden model, on every instruction set.
#include "isa.h"

#include "backward.h"
#include "forward.h"

namespace {

using Real = NEURO_REAL;

std::int64_t most_slots(const NeuroLsnnNet& net) {
    return (net.max_delay_in > net.max_delay ? net.max_delay_in : net.max_delay) + 1;
}

template <class L>
bool forward_block(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
                   std::int64_t block) {
    const Scratch scratch(static_cast<std::size_t>(Forward<L>::bytes(net)));
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

template <class Index>
bool forward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
             std::int64_t block) {
    switch (in.lanes) {
        case 8: return forward_block<Lanes<Real, 8, Index>>(net, in, tape, out, block);
        case 16: return forward_block<Lanes<Real, 16, Index>>(net, in, tape, out, block);
        default: return forward_block<Lanes<Real, 32, Index>>(net, in, tape, out, block);
    }
}

template <class Index>
bool backward(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnGradient& grad,
              std::int64_t group) {
    switch (in.lanes) {
        case 8: return backward_group<Lanes<Real, 8, Index>>(net, in, tape, grad, group);
        case 16: return backward_group<Lanes<Real, 16, Index>>(net, in, tape, grad, group);
        default: return backward_group<Lanes<Real, 32, Index>>(net, in, tape, grad, group);
    }
}

bool forward_any(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnOutput& out,
                 std::int64_t block) {
    return fits<std::uint16_t>(net, most_slots(net)) ? forward<std::uint16_t>(net, in, tape, out, block)
                                                     : forward<std::uint32_t>(net, in, tape, out, block);
}

bool backward_any(const NeuroLsnnNet& net, const NeuroLsnnSignals& in, const NeuroLsnnTape& tape, const NeuroLsnnGradient& grad,
                  std::int64_t group) {
    return fits<std::uint16_t>(net, most_slots(net)) ? backward<std::uint16_t>(net, in, tape, grad, group)
                                                     : backward<std::uint32_t>(net, in, tape, grad, group);
}

}  // namespace

namespace neuro {

const LsnnKernels NEURO_KERNELS{forward_any, backward_any};

}  // namespace neuro
