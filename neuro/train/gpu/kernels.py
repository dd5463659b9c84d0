"""Step a whole sequence on a GPU: the kernels, in Triton.

One program owns a block of a few samples and all their neurons, so that nothing but a barrier inside the program separates two
steps. Numbers lie as (samples, steps, rows). Spikes are bits, (blocks, steps, rows): a byte holds those of up to 8 samples, so
one load serves a synapse in all of them. A delay is only another place to read, as many rows back or ahead.

In every kernel `inputs`, `words`, `delta` and so on point at the row of the present step and move by one row a step: bits at one
place, numbers at SAMPLES of them, (SAMPLES, 1). `first`, `index` and `weight` are a `layout.Table`. SAMPLES samples by TILE rows
are the tile that a program works on.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-def"
# Triton gives annotations of arguments a meaning of its own.

from __future__ import annotations

import triton
import triton.language as tl

ADAPTIVE = tl.constexpr(1)
ZERO = tl.constexpr(2)
RESET_CODE = {"threshold": 0, "adaptive": ADAPTIVE.value, "zero": ZERO.value}
"""How the kernels name resets."""
QUANTUM = tl.constexpr(32767)
"""Steps of a psi that is stored in 16 bits: relative to its peak it lies in [0, 1], so a fixed point serves it better than a float."""


@triton.jit
def _carried(factor, sent, place, sample, BITS: tl.constexpr):
    """Return factor times what the sources at these places sent, (SAMPLES, TILE); place is (1, TILE), sample (SAMPLES, 1)."""
    if BITS:
        bit = (tl.load(sent + place).to(tl.int32) >> sample) & 1
        carried = tl.where(bit > 0, factor, 0.0)
    else:
        carried = factor * tl.load(sent + place)
    return carried


@triton.jit
def _places(index, slot, TILE: tl.constexpr):
    """Return where a group of stretches reads."""
    place_0, place_1 = tl.load(index + slot).to(tl.int32), tl.load(index + slot + TILE).to(tl.int32)
    place_2, place_3 = tl.load(index + slot + 2 * TILE).to(tl.int32), tl.load(index + slot + 3 * TILE).to(tl.int32)
    return place_0, place_1, place_2, place_3


@triton.jit
def _add_arriving(
    total, sent, index, weight, low, high, lane, sample,
    TILE: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """Return total (SAMPLES, TILE) and the sum over the stretches low..high of weight times what was sent.

    A group of `layout.GROUP` stretches at a time, written out so that its loads are under way together.
    """
    for k in range(low, high, 4):
        slot = k * TILE + lane
        place_0, place_1, place_2, place_3 = _places(index, slot, TILE)
        w_0, w_1 = tl.load(weight + slot), tl.load(weight + slot + TILE)
        w_2, w_3 = tl.load(weight + slot + 2 * TILE), tl.load(weight + slot + 3 * TILE)
        first = _carried(w_0, sent, place_0, sample, BITS) + _carried(w_1, sent, place_1, sample, BITS)
        last = _carried(w_2, sent, place_2, sample, BITS) + _carried(w_3, sent, place_3, sample, BITS)
        total += first + last
    return total


@triton.jit
def _fire(v, a, r, z, wait, current, alpha, v_th, rho, beta, n_ref, reset):
    """Do the step of `dynamics.neuron_step`; r is what the last spike takes from v.

    Returns v, a, r, z, wait; psi in units of its peak, -1 where reset "zero" holds v at 0; and what the gradient reads besides: A
    of reset "adaptive", else v before its reset.
    """
    a = rho * a + z
    threshold = v_th + beta * a
    free = wait == 0
    held = tl.where(free | (reset != ZERO), (alpha * v + current) - r, 0.0)
    z = tl.where((held > threshold) & free, 1.0, 0.0).to(v.dtype)
    psi = tl.maximum(1.0 - tl.abs((held - threshold) / v_th), 0.0)
    psi = tl.where(free, psi, tl.where(reset == ZERO, -1.0, 0.0))
    extra = tl.where(reset == ADAPTIVE, threshold, held)
    r = z * tl.where(reset == ADAPTIVE, threshold, tl.where(reset == ZERO, 0.0, v_th))
    v = tl.where((reset == ZERO) & (z > 0), 0.0, held)
    wait = tl.where(z > 0, n_ref, tl.maximum(wait - 1, 0))
    return v, a, r, z, wait, psi, extra


@triton.jit
def _constants(real, whole, rows, n_padded):
    """Return the constants of rows, (1, TILE) each: alpha, v_th, rho, beta and a fifth, n_ref, reset."""
    alpha, v_th = tl.load(real + rows), tl.load(real + n_padded + rows)
    rho, beta = tl.load(real + 2 * n_padded + rows), tl.load(real + 3 * n_padded + rows)
    fifth = tl.load(real + 4 * n_padded + rows)
    n_ref, reset = tl.load(whole + rows), tl.load(whole + n_padded + rows)
    return alpha, v_th, rho, beta, fifth, n_ref, reset


@triton.jit
def _load_state(state, rows, here, n):
    """Return v, a, r, z of a tile."""
    v, a = tl.load(state + rows, mask=here, other=0.0), tl.load(state + n + rows, mask=here, other=0.0)
    r, z = tl.load(state + 2 * n + rows, mask=here, other=0.0), tl.load(state + 3 * n + rows, mask=here, other=0.0)
    return v, a, r, z


@triton.jit
def _store_state(state, rows, here, n, v, a, r, z):
    """Keep v, a, r, z of a tile."""
    tl.store(state + rows, v, mask=here)
    tl.store(state + n + rows, a, mask=here)
    tl.store(state + 2 * n + rows, r, mask=here)
    tl.store(state + 3 * n + rows, z, mask=here)


@triton.jit
def _keep(psi, extra, rows, here, slope, more, FIXED: tl.constexpr, EXTRA: tl.constexpr):
    """Store what the gradient reads; what is below 0 stays so when it is cut to an integer."""
    if FIXED:
        tl.store(psi + rows, (slope * QUANTUM + 0.5).to(tl.int16), mask=here)
    else:
        tl.store(psi + rows, slope, mask=here)
    if EXTRA:
        tl.store(extra + rows, more, mask=here)


@triton.jit
def _start(sent, block, each, far, BITS: tl.constexpr):
    """Return where bits of a block or numbers of each of its samples begin, `far` from those of the next block or sample."""
    if BITS:
        start = sent + block * far
    else:
        start = sent + each * far
    return start


@triton.jit
def sweep(
    inputs, words, psi, extra, counts, state, waits,
    first_in, index_in, weight_in, first_rec, index_rec, weight_rec, real, whole,
    n, n_padded, n_tiles, steps, input_far, input_row, word_block,
    TILE: tl.constexpr, SAMPLES: tl.constexpr,
    BITS: tl.constexpr, HELD: tl.constexpr, KEEP: tl.constexpr, FIXED: tl.constexpr, EXTRA: tl.constexpr,
):  # fmt: skip
    """Run all neurons of a block of samples forward.

    inputs: bits or values; words: spikes; psi, extra: kept for the gradient with KEEP and EXTRA, psi as fixed point with FIXED;
    counts: spikes of each neuron and sample; state, waits: v, a, r, z and refractory steps left of all tiles, unused where one
    tile HELD them all;
    real, whole: constants of the neurons, rows alpha, v_th, rho, beta, bias and n_ref, reset, of n_padded each.
    """
    block = tl.program_id(0).to(tl.int64)
    lane, sample = tl.arange(0, TILE)[None, :], tl.arange(0, SAMPLES)[:, None]
    each = block * SAMPLES + sample
    inputs = _start(inputs, block, each, input_far, BITS)
    words += block * word_block
    psi, extra = psi + each * steps * n, extra + each * steps * n
    counts, state, waits = counts + each * n, state + each * 4 * n, waits + each * n
    none = tl.zeros([SAMPLES, TILE], dtype=real.dtype.element_ty)
    v, a, r, z, count = none, none, none, none, none
    wait = tl.zeros([SAMPLES, TILE], dtype=tl.int32)
    alpha, v_th, rho, beta, bias, n_ref, reset = _constants(real, whole, lane, n_padded)
    for _ in range(steps):
        for tile in range(n_tiles):
            rows = tile * TILE + lane
            here = rows < n
            if not HELD:
                alpha, v_th, rho, beta, bias, n_ref, reset = _constants(real, whole, rows, n_padded)
                v, a, r, z = _load_state(state, rows, here, n)
                wait = tl.load(waits + rows, mask=here, other=0)
                count = tl.load(counts + rows, mask=here, other=0.0)
            current = none + bias
            current = _add_arriving(
                current, inputs, index_in, weight_in, tl.load(first_in + tile), tl.load(first_in + tile + 1),
                lane, sample, TILE, BITS,
            )  # fmt: skip
            current = _add_arriving(
                current, words, index_rec, weight_rec, tl.load(first_rec + tile), tl.load(first_rec + tile + 1),
                lane, sample, TILE, True,
            )  # fmt: skip
            v, a, r, z, wait, slope, more = _fire(v, a, r, z, wait, current, alpha, v_th, rho, beta, n_ref, reset)
            count += z
            word = tl.sum((z > 0).to(tl.int32) << sample, axis=0, keep_dims=True)
            tl.store(words + rows, word.to(tl.uint8), mask=here)
            if KEEP:
                _keep(psi, extra, rows, here, slope, more, FIXED, EXTRA)
            if not HELD:
                _store_state(state, rows, here, n, v, a, r, z)
                tl.store(waits + rows, wait, mask=here)
                tl.store(counts + rows, count, mask=here)
        inputs += input_row
        words += n
        psi += n
        extra += n
        tl.debug_barrier()  # the next step reads the spikes that other threads wrote
    if HELD:
        tl.store(counts + lane, count, mask=lane < n)


@triton.jit
def arrive(
    inputs, words, currents,
    first_in, index_in, weight_in, first_rec, index_rec, weight_rec, bias,
    n, n_out, steps, steps_each, input_far, input_row, word_block,
    TILE: tl.constexpr, SAMPLES: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """Write the currents of readouts, once all spikes are known: a program takes a block of samples, some steps, a tile."""
    block, tile = tl.program_id(0).to(tl.int64), tl.program_id(2)
    start = tl.program_id(1) * steps_each
    lane, sample = tl.arange(0, TILE)[None, :], tl.arange(0, SAMPLES)[:, None]
    rows = tile * TILE + lane
    here = rows < n_out
    each = block * SAMPLES + sample
    inputs = _start(inputs, block, each, input_far, BITS) + start.to(tl.int64) * input_row
    words += block * word_block + start.to(tl.int64) * n
    currents = currents + (each * steps + start) * n_out + rows
    own = tl.load(bias + rows, mask=here, other=0.0)
    for _ in range(start, tl.minimum(start + steps_each, steps)):
        current = tl.zeros([SAMPLES, TILE], dtype=bias.dtype.element_ty) + own
        current = _add_arriving(
            current, inputs, index_in, weight_in, tl.load(first_in + tile), tl.load(first_in + tile + 1),
            lane, sample, TILE, BITS,
        )  # fmt: skip
        current = _add_arriving(
            current, words, index_rec, weight_rec, tl.load(first_rec + tile), tl.load(first_rec + tile + 1),
            lane, sample, TILE, True,
        )  # fmt: skip
        tl.store(currents, current, mask=here)
        inputs += input_row
        words += n
        currents += n_out


@triton.jit
def leak(
    source, target, kappa, n_out, steps, source_far, source_row, target_far, target_row,
    TILE: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """Let y = kappa y + source run over the steps; negative rows run it back. target may be source."""
    block = tl.program_id(0).to(tl.int64)
    rows, sample = tl.program_id(1) * TILE + tl.arange(0, TILE)[None, :], tl.arange(0, SAMPLES)[:, None]
    here = rows < n_out
    each = block * SAMPLES + sample
    source, target = source + each * source_far + rows, target + each * target_far + rows
    decay = tl.load(kappa + rows, mask=here, other=0.0)
    y = tl.zeros([SAMPLES, TILE], dtype=kappa.dtype.element_ty)
    for _ in range(steps):
        y = decay * y + tl.load(source, mask=here, other=0.0)
        tl.store(target, y, mask=here)
        source += source_row
        target += target_row


@triton.jit
def _through_reset(grad, after, kept, z, psi, extra, v_th, reset):
    """Return dL/dz with what reaches it through the reset, and the part of alpha delta(t + 1), `kept`, that passes the step."""
    grad -= tl.where(reset == ZERO, extra * kept, tl.where(reset == ADAPTIVE, extra, v_th) * after)
    return grad, tl.where((reset == ZERO) & ((z > 0) | (psi < 0)), 0.0, kept)


@triton.jit
def unsweep(
    delta, words, psi, extra, grad_counts, grad_z, state, first, index, weight, real, whole,
    n, n_targets, n_padded, n_tiles, steps, delta_far, word_block,
    TILE: tl.constexpr, SAMPLES: tl.constexpr,
    HELD: tl.constexpr, FIXED: tl.constexpr, EXTRA: tl.constexpr, DENSE: tl.constexpr,
):  # fmt: skip
    """Run all neurons of a block of samples backward: the equations of `neuro.train.unsweep`.

    delta: dL/dI, that of readouts is there already, and zeros after the last step; all tensors point at the first step.
    grad_counts: dL/d(spikes of a neuron in a sample); grad_z: with DENSE dL/dz of every step besides; state: dL/da of all tiles,
    unused where one tile HELD them all;
    real, whole: as in `sweep`, with the peak of psi in place of the bias.
    """
    block = tl.program_id(0).to(tl.int64)
    lane, sample = tl.arange(0, TILE)[None, :], tl.arange(0, SAMPLES)[:, None]
    last = block * 0 + steps - 1
    each = block * SAMPLES + sample
    delta = delta + each * delta_far + last * n_targets
    words += block * word_block + last * n
    psi, extra, grad_z = (
        psi + (each * steps + last) * n,
        extra + (each * steps + last) * n,
        grad_z + (each * steps + last) * n,
    )
    grad_counts, state = grad_counts + each * n, state + each * n
    none = tl.zeros([SAMPLES, TILE], dtype=real.dtype.element_ty)
    grad_a = none
    alpha, v_th, rho, beta, peak, _n_ref, reset = _constants(real, whole, lane, n_padded)
    for _ in range(steps):
        for tile in range(n_tiles):
            rows = tile * TILE + lane
            here = rows < n
            if not HELD:
                alpha, v_th, rho, beta, peak, _n_ref, reset = _constants(real, whole, rows, n_padded)
                grad_a = tl.load(state + rows, mask=here, other=0.0)
            slope = tl.load(psi + rows, mask=here, other=0).to(grad_a.dtype)
            word = tl.load(words + rows, mask=here, other=0).to(tl.int32)
            z = ((word >> sample) & 1).to(grad_a.dtype)
            after = tl.load(delta + n_targets + rows, mask=here, other=0.0)
            own = grad_a + tl.load(grad_counts + rows, mask=here, other=0.0)
            if DENSE:
                own += tl.load(grad_z + rows, mask=here, other=0.0)
            grad = _add_arriving(
                none, delta, index, weight, tl.load(first + tile), tl.load(first + tile + 1),
                lane, sample, TILE, False,
            )  # fmt: skip
            grad += own
            kept = alpha * after
            if EXTRA:
                more = tl.load(extra + rows, mask=here, other=0.0)
                grad, kept = _through_reset(grad, after, kept, z, slope, more, v_th, reset)
            else:
                grad -= v_th * after
            if FIXED:
                slope = slope / QUANTUM
            flow = tl.maximum(slope, 0.0) * peak * grad
            tl.store(delta + rows, kept + flow, mask=here)
            if EXTRA:
                flow += tl.where(reset == ADAPTIVE, z * after, 0.0)
            grad_a = rho * grad_a - beta * flow
            if not HELD:
                tl.store(state + rows, grad_a, mask=here)
        delta -= n_targets
        words -= n
        psi -= n
        extra -= n
        grad_z -= n
        tl.debug_barrier()  # the step before reads the delta that other threads wrote


@triton.jit
def correlate(
    sent, delta, index, tile_of_group, partial,
    n_rows, n_slots, n_blocks, steps, sent_far, sent_row, delta_far, delta_row,
    TILE: tl.constexpr, SAMPLES: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of one group of stretches: the sum of what was sent times delta over all steps and some blocks.

    Programs are (group, part); part p takes the blocks p, p + parts ... and writes row p of partial, (parts, n_slots). delta
    points at the first of the table's rows.
    """
    group, part = tl.program_id(0), tl.program_id(1)
    lane, sample = tl.arange(0, TILE)[None, :], tl.arange(0, SAMPLES)[:, None]
    rows = tl.load(tile_of_group + group) * TILE + lane
    here = rows < n_rows
    slot = group * 4 * TILE + lane  # layout.GROUP stretches
    place_0, place_1, place_2, place_3 = _places(index, slot, TILE)
    none = tl.zeros([SAMPLES, TILE], dtype=delta.dtype.element_ty)
    sum_0, sum_1, sum_2, sum_3 = none, none, none, none
    for block in range(part, n_blocks, tl.num_programs(1)):
        here_block = tl.program_id(1).to(tl.int64) * 0 + block  # in 64 bits
        each = here_block * SAMPLES + sample
        now = _start(sent, here_block, each, sent_far, BITS)
        blame = delta + each * delta_far + rows
        for _ in range(steps):
            d = tl.load(blame, mask=here, other=0.0)
            sum_0 += _carried(d, now, place_0, sample, BITS)
            sum_1 += _carried(d, now, place_1, sample, BITS)
            sum_2 += _carried(d, now, place_2, sample, BITS)
            sum_3 += _carried(d, now, place_3, sample, BITS)
            now += sent_row
            blame += delta_row
    partial += part * n_slots + slot
    tl.store(partial, tl.sum(sum_0, axis=0, keep_dims=True))
    tl.store(partial + TILE, tl.sum(sum_1, axis=0, keep_dims=True))
    tl.store(partial + 2 * TILE, tl.sum(sum_2, axis=0, keep_dims=True))
    tl.store(partial + 3 * TILE, tl.sum(sum_3, axis=0, keep_dims=True))
