// The max-plus recurrence of wse_sim/engine/max_plus.py in C++, on the same flat memory: the yardstick of its speed.
//
// Names and the order of the loops are those of the Python file, which explains them; the places in M are its constants,
// handed over as macros. Fast-forward is left out: here every tile runs.

#include <algorithm>
#include <cstdint>

namespace {

using Int = std::int64_t;

Int *row(Int *M, Int ring, Int back) {
    return M + M[ring + AT] + ((M[ring + NEXT] - back) & M[ring + MASK]) * M[ring + WIDTH];
}
Int *updated(Int *M, Int step, Int place, Int tile) {
    return M + M[UPDATED] + (step & 1) * M[UPDATES_PER_STEP] + place * M[N_TILES] + tile;
}
Int *drained(Int *M, Int p, Int tile) {
    return M + M[DRAINED] + (M[M[PASSES] + p * _PASS + DRAINED_PLACE] * M[N_TILES] + tile) * M[N_LEAVES];
}
Int *pass_end(Int *M, Int p) { return M + M[PASS_END] + (p + M[FOLLOW_ROWS]) * M[N_LEAVES]; }

void add(Int *at, Int plus, Int n) {
    for (Int x = 0; x < n; ++x) at[x] += plus;
}
void add_row(Int *at, const Int *other, Int n) {
    for (Int x = 0; x < n; ++x) at[x] += other[x];
}
void raise(Int *at, const Int *other, Int plus, Int n) {
    for (Int x = 0; x < n; ++x) at[x] = std::max(at[x], other[x] + plus);
}
void raise_by(Int *at, const Int *other, const Int *plus, Int n) {
    for (Int x = 0; x < n; ++x) at[x] = std::max(at[x], other[x] + plus[x]);
}

void feed(Int *M, Int k, Int p, Int tile) {
    const Int ring = FEED + k * _FEED_RINGS, n = M[N_LEAVES];
    Int *now = row(M, ring, 0);
    std::copy_n(row(M, ring, 1), n, now);
    raise(now, row(M, ring + _FEED_SERVED, M[M[FEED_SLOTS] + k]), 0, n);
    const Int source = M[M[FEED_AFTER] + k * M[N_PASSES] + p];
    if (source >= 0) raise(now, drained(M, source, tile), 0, n);
    add(now, M[M[FEED_PS] + k * M[N_PASSES] + p], n);
}

void send_down(Int *M, const Int *record, Int step, Int p, Int tile) {
    const Int n_nodes = M[N_NODES], n_leaves = M[N_LEAVES], n_edges = n_nodes + n_leaves;
    const Int *upper = M + M[UPPER], *latency = M + M[LATENCY], *service = M + M[DOWN_PS] + p * n_edges;
    const Int *before = row(M, DOWN, 1), *gone = row(M, DOWN, M[NODE_SLOTS]);
    const Int *first_child = M + M[FIRST_CHILD], *children = M + M[CHILDREN];
    Int *now = row(M, DOWN, 0);
    for (Int e = 0; e < n_nodes; ++e) {
        Int free = _NEVER, ready;
        for (Int k = first_child[e]; k < first_child[e + 1]; ++k) free = std::max(free, gone[children[k]]);
        if (e == 0) {
            ready = *row(M, DOWN, M[N_LANES]);
            if (record[WAITS_FOR] >= 0) ready = std::max(ready, *updated(M, step - 1, record[WAITS_FOR], tile));
        } else {
            ready = std::max(before[e], now[upper[e]] + latency[upper[e]]);
        }
        now[e] = std::max(ready, free + latency[e]) + service[e];
    }
    for (Int e = n_nodes; e < n_edges; ++e) now[e] = now[upper[e]] + latency[upper[e]];
    raise(now + n_nodes, before + n_nodes, 0, n_leaves);
    raise_by(now + n_nodes, row(M, SERVED, M[LEAF_SLOTS]), latency + n_nodes, n_leaves);
    add_row(now + n_nodes, service + n_nodes, n_leaves);
    M[DOWN + NEXT] += 1;
}

void serve(Int *M, const Int *record, Int p, Int tile, Int occurrence) {
    const Int n_nodes = M[N_NODES], n = M[N_LEAVES];
    Int *now = row(M, COMPUTE, 0);
    std::copy_n(row(M, COMPUTE, 1), n, now);
    if (record[HAS_WEIGHTS]) raise_by(now, row(M, DOWN, 1) + n_nodes, M + M[LATENCY] + n_nodes, n);
    for (Int k = 0; k < M[N_FEEDS]; ++k)
        if (M[M[FEED_PS] + k * M[N_PASSES] + p] > 0) raise(now, row(M, FEED + k * _FEED_RINGS, 0), 0, n);
    if (record[HAS_GRADIENT]) raise(now, row(M, UP, M[GRADIENT_SLOTS]) + n_nodes, 0, n);
    if (record[DRAIN_TIME] > 0) raise(now, row(M, DRAIN, M[DRAIN_SLOTS]), 0, n);
    if (tile == 0 && record[FOLLOWS] >= 0) raise(now, pass_end(M, record[FOLLOWS]), record[LAG], n);
    add_row(now, M + M[COMPUTE_PS] + p * n, n);
    if (tile == 0 && M[HAS_JITTER]) add_row(now, M + M[JITTER_PS] + occurrence * n, n);
    M[COMPUTE + NEXT] += 1;
    if (record[HAS_WEIGHTS]) {
        std::copy_n(now, n, row(M, SERVED, 0));
        M[SERVED + NEXT] += 1;
    }
    for (Int k = 0; k < M[N_FEEDS]; ++k) {
        if (M[M[FEED_PS] + k * M[N_PASSES] + p] == 0) continue;
        const Int ring = FEED + k * _FEED_RINGS;
        std::copy_n(now, n, row(M, ring + _FEED_SERVED, 0));
        M[ring + NEXT] += 1;
        M[ring + _FEED_SERVED + NEXT] += 1;
    }
}

void drain(Int *M, const Int *record, Int p, Int tile) {
    const Int n = M[N_LEAVES];
    Int *now = row(M, DRAIN, 0);
    std::copy_n(row(M, COMPUTE, 1), n, now);
    raise(now, row(M, DRAIN, 1), 0, n);
    add(now, record[DRAIN_TIME], n);
    M[DRAIN + NEXT] += 1;
    if (record[DRAINED_PLACE] >= 0) std::copy_n(now, n, drained(M, p, tile));
}

void sum_up(Int *M, const Int *record, Int p, bool is_last) {
    const Int n_nodes = M[N_NODES], n_leaves = M[N_LEAVES], n_edges = n_nodes + n_leaves;
    const Int *upper = M + M[UPPER], *latency = M + M[LATENCY], *service = M + M[UP_PS] + p * n_edges;
    const Int *before = row(M, UP, 1), *held = row(M, UP, M[REDUCE_SLOTS]);
    const Int *sums_before = row(M, REDUCE, 1), *taken = row(M, REDUCE, M[UP_SLOTS]);
    const Int *first_child = M + M[FIRST_CHILD], *children = M + M[CHILDREN];
    Int *now = row(M, UP, 0), *sums = row(M, REDUCE, 0);
    for (Int e = n_nodes; e < n_edges; ++e) now[e] = taken[upper[e]] + latency[e];
    raise(now + n_nodes, before + n_nodes, 0, n_leaves);
    raise(now + n_nodes, row(M, COMPUTE, 1), 0, n_leaves);
    add_row(now + n_nodes, service + n_nodes, n_leaves);
    for (Int e = n_nodes - 1; e >= 0; --e) {
        Int ready = std::max(sums_before[e], held[e]), free;
        for (Int k = first_child[e]; k < first_child[e + 1]; ++k)
            ready = std::max(ready, now[children[k]] + latency[children[k]]);
        Int done = ready + record[REDUCE_TIME];
        sums[e] = done;
        if (e == 0) {
            done = std::max(done, *row(M, UP, M[N_LANES]));
            free = *row(M, UPDATE, M[UP_SLOTS]);
        } else {
            done = std::max(done, before[e]);
            free = taken[upper[e]];
        }
        now[e] = std::max(done, free + latency[e]) + service[e];
    }
    const Int ready = std::max(now[0] + latency[0], *row(M, UPDATE, M[N_LANES]));
    *row(M, UPDATE, 0) = ready + record[is_last ? UPDATE_TIME : ACCUMULATE_TIME];
    M[UP + NEXT] += 1;
    M[REDUCE + NEXT] += 1;
    M[UPDATE + NEXT] += 1;
}

void run_tile(Int *M, Int step, Int microbatch, Int p, Int tile) {
    const Int *record = M + M[PASSES] + p * _PASS;
    for (Int k = 0; k < M[N_FEEDS]; ++k)
        if (M[M[FEED_PS] + k * M[N_PASSES] + p] > 0) feed(M, k, p, tile);
    if (record[HAS_WEIGHTS]) send_down(M, record, step, p, tile);
    serve(M, record, p, tile, (step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p);
    if (record[DRAIN_TIME] > 0) drain(M, record, p, tile);
    if (record[HAS_GRADIENT]) {
        const bool is_last = microbatch == M[N_MICROBATCHES] - 1;
        sum_up(M, record, p, is_last);
        if (is_last) *updated(M, step, record[GRADIENT_PLACE], tile) = *row(M, UPDATE, 1);
    }
    M[N_TILES_RUN] += 1;
}

void begin(Int *M) {
    const Int n = M[N_LEAVES];
    for (Int lane = 1; lane <= M[N_LANES]; ++lane) *row(M, DOWN, lane) = 0;
    std::fill_n(row(M, COMPUTE, 1), n, 0);
    for (Int k = 0; k < M[N_FEEDS]; ++k) std::fill_n(row(M, FEED + k * _FEED_RINGS, 1), n, 0);
}

}  // namespace

extern "C" void run(Int *M) {
    const Int n = M[N_LEAVES];
    begin(M);
    for (Int step = 0; step < M[N_STEPS]; ++step) {
        for (Int microbatch = 0; microbatch < M[N_MICROBATCHES]; ++microbatch) {
            for (Int p = 0; p < M[N_PASSES]; ++p) {
                for (Int tile = 0; tile < M[N_TILES]; ++tile) run_tile(M, step, microbatch, p, tile);
                std::copy_n(row(M, COMPUTE, 1), n, pass_end(M, p));
            }
        }
        const Int *last = row(M, COMPUTE, 1);
        M[M[STEP_ENDS] + step] = *std::max_element(last, last + n);
    }
}
