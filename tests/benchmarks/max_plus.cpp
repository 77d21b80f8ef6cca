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
Int *pass_end(Int *M, Int p) { return M + M[PASS_END] + (p + _LONGEST_FOLLOW) * M[N_LEAVES]; }

Int of_feed(const Int *M, Int table, Int k, Int p) { return M[M[table] + k * M[N_PASSES] + p]; }

void raise(Int *at, const Int *other, Int lag, const Int *service, Int n) {
    for (Int x = 0; x < n; ++x) at[x] = std::max(at[x], other[x] + lag + service[x]);
}

void bring(Int *M, Int p, Int tile) {
    for (Int k = 0; k < M[N_FEEDS]; ++k) {
        const Int service = of_feed(M, FEED_PS, k, p);
        if (service == 0) continue;
        const Int ring = FEED + k * _FEED_RINGS;
        Int *now = row(M, ring, 0);
        const Int *before = row(M, ring, 1), *room = row(M, ring + _FEED_SERVED, M[M[FEED_SLOTS] + k]);
        const Int source = of_feed(M, FEED_AFTER, k, p);
        const Int *from = source >= 0 ? drained(M, source, tile) : before;
        for (Int w = 0; w < M[N_LEAVES]; ++w) now[w] = std::max(std::max(before[w], room[w]), from[w]) + service;
        M[ring + NEXT] += 1;
    }
}

void send_down(Int *M, Int step, Int p, Int tile) {
    const Int *record = M + M[PASSES] + p * _PASS;
    if (!record[HAS_WEIGHTS]) return;
    const Int n_nodes = M[N_NODES], n_edges = n_nodes + M[N_LEAVES];
    const Int *upper = M + M[UPPER], *latency = M + M[LATENCY], *service = M + M[DOWN_PS] + p * n_edges;
    const Int *before = row(M, DOWN, 1), *gone = row(M, DOWN, M[NODE_SLOTS]);
    const Int *first_child = M + M[FIRST_CHILD], *children = M + M[CHILDREN];
    Int *now = row(M, DOWN, 0);
    for (Int e = 0; e < n_nodes; ++e) {
        Int free = _NEVER, ready;
        for (Int k = first_child[e]; k < first_child[e + 1]; ++k) free = std::max(free, gone[children[k]]);
        if (e == 0) {
            ready = *row(M, DOWN, M[N_LANES]);
            if (step > 0 && record[WAITS_FOR] >= 0) ready = std::max(ready, *updated(M, step - 1, record[WAITS_FOR], tile));
        } else {
            ready = std::max(before[e], now[upper[e]] + latency[upper[e]]);
        }
        now[e] = std::max(ready, free + latency[e]) + service[e];
    }
    const Int *served = row(M, SERVED, M[LEAF_SLOTS]) - n_nodes;
    for (Int e = n_nodes; e < n_edges; ++e) {
        const Int there = now[upper[e]] + latency[upper[e]];
        now[e] = std::max(std::max(before[e], there), served[e] + latency[e]) + service[e];
    }
    M[DOWN + NEXT] += 1;
}

void serve(Int *M, Int step, Int microbatch, Int p, Int tile) {
    const Int *record = M + M[PASSES] + p * _PASS;
    const Int n_nodes = M[N_NODES], n = M[N_LEAVES];
    const Int occurrence = (step * M[N_MICROBATCHES] + microbatch) * M[N_PASSES] + p;
    const Int *service = M + M[COMPUTE_PS] + p * n;
    if (tile == 0 && M[HAS_JITTER]) service = M + M[JITTERED_PS] + occurrence * n;
    Int *now = row(M, COMPUTE, 0);
    const Int *before = row(M, COMPUTE, 1), *weights = row(M, DOWN, 1) + n_nodes, *latency = M + M[LATENCY] + n_nodes;
    const Int *room = record[HAS_GRADIENT] ? row(M, UP, M[GRADIENT_SLOTS]) + n_nodes : before;
    const Int *left = record[DRAIN_TIME] ? row(M, DRAIN, M[DRAIN_SLOTS]) : before;
    for (Int w = 0; w < n; ++w) {
        const Int ready = std::max(std::max(before[w], weights[w] + latency[w]), std::max(room[w], left[w]));
        now[w] = ready + service[w];
    }
    for (Int k = 0; k < M[N_FEEDS]; ++k)
        if (of_feed(M, FEED_PS, k, p)) raise(now, row(M, FEED + k * _FEED_RINGS, 1), 0, service, n);
    if (tile == 0 && record[FOLLOWS] >= 0) raise(now, pass_end(M, record[FOLLOWS]), record[LAG], service, n);
    if (record[HAS_WEIGHTS]) {
        std::copy_n(now, n, row(M, SERVED, 0));
        M[SERVED + NEXT] += 1;
    }
    for (Int k = 0; k < M[N_FEEDS]; ++k) {
        if (of_feed(M, FEED_PS, k, p) == 0) continue;
        const Int ring = FEED + k * _FEED_RINGS + _FEED_SERVED;
        std::copy_n(now, n, row(M, ring, 0));
        M[ring + NEXT] += 1;
    }
    M[COMPUTE + NEXT] += 1;
    M[N_TILES_RUN] += 1;
}

void drain(Int *M, Int p, Int tile) {
    const Int *record = M + M[PASSES] + p * _PASS;
    const Int n = M[N_LEAVES], service = record[DRAIN_TIME];
    if (service == 0) return;
    Int *now = row(M, DRAIN, 0);
    const Int *before = row(M, DRAIN, 1), *served = row(M, COMPUTE, 1);
    for (Int w = 0; w < n; ++w) now[w] = std::max(before[w], served[w]) + service;
    if (record[DRAINED_PLACE] >= 0) std::copy_n(now, n, drained(M, p, tile));
    M[DRAIN + NEXT] += 1;
}

void sum_up(Int *M, Int step, Int microbatch, Int p, Int tile) {
    const Int *record = M + M[PASSES] + p * _PASS;
    if (!record[HAS_GRADIENT]) return;
    const Int n_nodes = M[N_NODES], n_edges = n_nodes + M[N_LEAVES];
    const Int *upper = M + M[UPPER], *latency = M + M[LATENCY], *service = M + M[UP_PS] + p * n_edges;
    const Int *before = row(M, UP, 1), *held = row(M, UP, M[REDUCE_SLOTS]);
    const Int *sums_before = row(M, REDUCE, 1), *taken = row(M, REDUCE, M[UP_SLOTS]);
    const Int *first_child = M + M[FIRST_CHILD], *children = M + M[CHILDREN];
    const Int *served = row(M, COMPUTE, 1) - n_nodes;
    Int *now = row(M, UP, 0), *sums = row(M, REDUCE, 0);
    for (Int e = n_nodes; e < n_edges; ++e) {
        const Int free = taken[upper[e]] + latency[e];
        now[e] = std::max(std::max(before[e], served[e]), free) + service[e];
    }
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
    Int update = std::max(now[0] + latency[0], *row(M, UPDATE, M[N_LANES]));
    if (microbatch < M[N_MICROBATCHES] - 1) {
        update += record[ACCUMULATE_TIME];
    } else {
        update += record[UPDATE_TIME];
        *updated(M, step, record[GRADIENT_PLACE], tile) = update;
    }
    *row(M, UPDATE, 0) = update;
    M[UP + NEXT] += 1;
    M[REDUCE + NEXT] += 1;
    M[UPDATE + NEXT] += 1;
}

}  // namespace

extern "C" void run(Int *M) {
    const Int n = M[N_LEAVES];
    for (Int step = 0; step < M[N_STEPS]; ++step) {
        for (Int microbatch = 0; microbatch < M[N_MICROBATCHES]; ++microbatch) {
            for (Int p = 0; p < M[N_PASSES]; ++p) {
                for (Int tile = 0; tile < M[N_TILES]; ++tile) {
                    bring(M, p, tile);
                    send_down(M, step, p, tile);
                    serve(M, step, microbatch, p, tile);
                    drain(M, p, tile);
                    sum_up(M, step, microbatch, p, tile);
                }
                std::copy_n(row(M, COMPUTE, 1), n, pass_end(M, p));
            }
        }
        const Int *last = row(M, COMPUTE, 1);
        M[M[STEP_ENDS] + step] = *std::max_element(last, last + n);
    }
}
