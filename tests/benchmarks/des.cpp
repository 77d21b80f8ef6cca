// The look-ahead engine of wse_sim/engine/des.py once more, line by line, to measure what numba costs.
//
// The names of fields and kinds come from there, as macros (see twins.py); so does the memory that it runs on.

#include <algorithm>
#include <cstdint>

namespace {

using Int = std::int64_t;

constexpr Int kMask = (Int{1} << _SHIFT) - 1;

struct Engine {
    Int* const M;
    Int* const H;
    Int* const F;

    // ---- the heap ---------------------------------------------------------------------------------------------------

    void sift_down(Int key) {
        Int i = 0;
        while (true) {
            const Int child = 4 * i + 1;
            const Int a = child + (H[child + 1] < H[child]);
            const Int b = child + 2 + (H[child + 3] < H[child + 2]);
            const Int least = a + (b - a) * (H[b] < H[a]);
            if (H[least] >= key) break;
            H[i] = H[least];
            i = least;
        }
        H[i] = key;
    }

    void push(Int time, Int server) {
        const Int key = ((time - M[BASE]) << _SHIFT) | (server >> _RECORD_BITS);
        if (M[IS_HOLE]) {
            M[IS_HOLE] = 0;
            sift_down(key);
            return;
        }
        Int i = M[HEAP_SIZE]++;
        while (i > 0) {
            const Int parent = (i - 1) >> 2;
            if (H[parent] <= key) break;
            H[i] = H[parent];
            i = parent;
        }
        H[i] = key;
    }

    void close_hole() {
        M[IS_HOLE] = 0;
        const Int last = --M[HEAP_SIZE];
        const Int key = H[last];
        H[last] = _NO_KEY;
        if (last > 0) sift_down(key);
    }

    void rebase() {
        const Int moved = (M[NOW] - M[BASE]) << _SHIFT;
        M[BASE] = M[NOW];
        for (Int i = 0; i < M[HEAP_SIZE]; ++i) H[i] -= moved;
    }

    // ---- servers ----------------------------------------------------------------------------------------------------

    void start(Int server, Int at) {
        const Int finish = at + M[server + SERVICE];
        M[server + FREE_AT] = _NEVER;
        if (M[IS_RECORDING]) record(server, finish);
        push(finish, server);
    }

    void record(Int server, Int finish) {
        Int* const place = F + M[server + TRACE] + M[server + NEXT];
        *place = finish;
        __builtin_prefetch(place + _CACHE_LINE, 1);
    }

    bool advance(Int server, Int now) {
        M[server + FREE_AT] = now;
        M[server + NEXT] += M[server + STRIDE];
        if (--M[server + LEFT] > 0) return false;
        M[server + LEFT] = M[server + TILES];
        const Int of_pass = M[M[server + FOLLOWING] + M[server + PASS]];
        if (of_pass <= M[server + PASS]) ++M[server + ROUND];
        M[server + PASS] = of_pass;
        M[server + SERVICE] = M[M[server + SERVICES] + of_pass];
        return true;
    }

    Int inbox(Int server, Int ring, Int mask, Int i) const { return M[server + ring] + (i & M[server + mask]); }

    // ---- half-duplex wires ------------------------------------------------------------------------------------------

    void request(Int end, Int ready) {
        if (M[end + READY] != _NEVER) return;
        M[end + READY] = ready;
        const Int wire = M[end + WIRE];
        if (!M[wire + IS_BUSY] || ready > M[wire + BUSY_UNTIL]) push(std::max(ready, M[NOW]), wire);
    }

    void free_wire(Int wire) {
        M[wire + IS_BUSY] = 0;
        if (std::min(M[M[wire + DOWN_SERVER] + READY], M[M[wire + UP_SERVER] + READY]) <= M[NOW]) push(M[NOW], wire);
    }

    void arbitrate(Int wire, Int now) {
        if (M[wire + IS_BUSY]) return;
        const Int down = M[wire + DOWN_SERVER], up = M[wire + UP_SERVER];
        const Int end = M[up + READY] <= M[down + READY] ? up : down;
        if (M[end + READY] > now) return;
        M[end + READY] = _NEVER;
        const Int i = M[end + NEXT];
        if (end == up || M[end + ABOVE]) M[inbox(end, IN, IN_MASK, i)] = _NEVER;
        M[inbox(end, ROOM, ROOM_MASK, i)] = _NEVER;
        M[wire + IS_BUSY] = 1;
        M[wire + BUSY_UNTIL] = now + M[end + SERVICE];
        start(end, now);
    }

    // ---- starting a task once all that it waits for is known --------------------------------------------------------

    void try_send(Int end) {
        const Int i = M[end + NEXT];
        const Int there = inbox(end, IN, IN_MASK, i), room = inbox(end, ROOM, ROOM_MASK, i);
        const Int ready = std::max({M[end + FREE_AT], M[there], M[room]});
        if (ready >= _NEVER) return;
        if (M[IS_HALF_DUPLEX]) {
            request(end, ready);
        } else {
            M[there] = M[room] = _NEVER;
            start(end, ready);
        }
    }

    void try_source(Int source) {
        const Int i = M[source + NEXT], room = inbox(source, ROOM, ROOM_MASK, i);
        Int ready = std::max(M[source + FREE_AT], M[room]);
        if (ready >= _NEVER || i >= M[N_DOWN]) return;
        if (M[source + WAITED] != _NOTHING) {
            if (M[M[source + SINK] + NEXT] <= M[source + WAITED] + i) return;
            ready = std::max(ready, M[M[source + UPDATED_AT] + i]);
        }
        if (M[IS_HALF_DUPLEX]) {
            request(source, ready);
        } else {
            M[room] = _NEVER;
            start(source, ready);
        }
    }

    void try_compute(Int leaf) {
        Int ready = M[leaf + FREE_AT];
        if (ready == _NEVER) return;
        const Int has = M[leaf + HAS_NOW];
        const Int weights = inbox(leaf, IN, IN_MASK, M[leaf + N_TAKEN]);
        const Int room = inbox(leaf, ROOM, ROOM_MASK, M[leaf + N_GIVEN]);
        const Int drain_room = inbox(leaf, DRAIN_ROOM, DRAIN_ROOM_MASK, M[leaf + N_LEFT]);
        if (has & _HAS_WEIGHTS) ready = std::max(ready, M[weights]);
        if (has & _HAS_GRADIENT) ready = std::max(ready, M[room]);
        if (has & _HAS_DRAIN) ready = std::max(ready, M[drain_room]);
        for (Int k = 0; k < M[N_FEEDS]; ++k) {
            const Int feed = M[leaf + FEED_SERVERS] + k * _RECORD;
            if (M[feed + IS_NEEDED]) ready = std::max(ready, M[inbox(feed, OUT, OUT_MASK, M[feed + N_USED])]);
        }
        if (ready >= _NEVER || M[leaf + NEXT] == M[N_COMPUTE]) return;
        if (has & _HAS_WEIGHTS) M[weights] = _NEVER;
        if (has & _HAS_GRADIENT) M[room] = _NEVER;
        if (has & _HAS_DRAIN) M[drain_room] = _NEVER;
        for (Int k = 0; k < M[N_FEEDS]; ++k) {
            const Int feed = M[leaf + FEED_SERVERS] + k * _RECORD;
            if (M[feed + IS_NEEDED]) M[inbox(feed, OUT, OUT_MASK, M[feed + N_USED])] = _NEVER;
        }
        start(leaf, ready);
        M[leaf + SERVICE] = M[leaf + STEADY];
    }

    void try_reduce(Int node) {
        const Int g = M[node + NEXT];
        const Int arrived = inbox(node, IN, IN_MASK, g), room = inbox(node, ROOM, ROOM_MASK, g);
        const Int ready = std::max({M[node + FREE_AT], M[arrived], M[room]});
        if (ready >= _NEVER) return;
        M[arrived] = M[room] = _NEVER;
        start(node, ready);
    }

    void try_one(Int server) {
        const Int there = inbox(server, IN, IN_MASK, M[server + NEXT]);
        const Int ready = std::max(M[server + FREE_AT], M[there]);
        if (ready >= _NEVER) return;
        M[there] = _NEVER;
        start(server, ready);
    }

    void try_feed(Int feed) {
        const Int i = M[feed + NEXT], room = inbox(feed, ROOM, ROOM_MASK, i);
        Int ready = std::max(M[feed + FREE_AT], M[room]);
        if (ready >= _NEVER || i >= M[feed + N_ITEMS]) return;
        if (M[feed + AFTER] != _NOTHING) {
            const Int drain = M[M[feed + LEAF] + DRAIN_SERVER], d = M[feed + AFTER] + i;
            if (M[drain + NEXT] <= d) return;
            ready = std::max(ready, M[inbox(drain, OUT, OUT_MASK, d)]);
        }
        M[room] = _NEVER;
        start(feed, ready);
    }

    // ---- what a server has to know of its next pass -----------------------------------------------------------------

    void plan_source(Int source) {
        const Int of_pass = M[source + PASS], step = M[source + ROUND] / M[N_MICROBATCHES];
        const Int waited = M[M[WAITS_FOR] + of_pass];
        M[source + WAITED] = _NOTHING;
        if (waited < 0 || step == 0) return;
        const Int i = M[source + NEXT], tile = i % M[N_LANES], place = M[M[GRADIENT_PLACE] + waited];
        const Int last = step * M[N_MICROBATCHES] - 1;
        M[source + WAITED] = (last * M[N_GRADIENT_PASSES] + place) * M[N_TILES] + tile - i;
        M[source + UPDATED_AT] =
            M[UPDATED] + (((step - 1) & 1) * M[N_GRADIENT_PASSES] + place) * M[N_TILES] + tile - i;
    }

    void plan_sink(Int sink) {
        const Int microbatch = M[sink + ROUND], place = M[M[GRADIENT_PLACE] + M[sink + PASS]];
        const bool is_last = (microbatch + 1) % M[N_MICROBATCHES] == 0;
        M[sink + SERVICE] = M[(is_last ? M[UPDATE_PS] : M[ACCUMULATE_PS]) + M[sink + PASS]];
        const Int half = ((microbatch / M[N_MICROBATCHES]) & 1) * M[N_GRADIENT_PASSES];
        const Int before = (microbatch * M[N_GRADIENT_PASSES] + place) * M[N_TILES];
        M[sink + OUT] = M[UPDATED] + (half + place) * M[N_TILES] - before;
    }

    void plan_feed(Int feed) {
        const Int after = M[M[feed + AFTERS] + M[feed + PASS]];
        if (after < 0) {
            M[feed + AFTER] = _NOTHING;
            return;
        }
        const Int passes_before = M[feed + ROUND] * M[N_DRAIN_PASSES] + M[M[DRAIN_PLACE] + after];
        M[feed + AFTER] = passes_before * M[N_TILES] - M[feed + NEXT];
    }

    void open_leaf_pass(Int leaf, Int now) {
        const Int of_pass = M[leaf + PASS], microbatch = M[leaf + ROUND];
        M[leaf + HAS_NOW] = M[M[HAS] + of_pass];
        M[leaf + STEADY] = M[leaf + SERVICE];
        if (M[leaf + JITTER] != _NOTHING && M[leaf + NEXT] < M[N_COMPUTE])
            M[leaf + SERVICE] += M[M[leaf + JITTER] + microbatch * M[N_PASSES] + of_pass];
        const Int followed = M[M[FOLLOWS] + of_pass];
        if (followed >= 0) M[leaf + FREE_AT] = std::max(now, M[M[leaf + ENDED] + followed] + M[M[LAG_PS] + of_pass]);
        for (Int k = 0; k < M[N_FEEDS]; ++k) {
            const Int feed = M[leaf + FEED_SERVERS] + k * _RECORD;
            M[feed + IS_NEEDED] = M[M[feed + SERVICES] + of_pass] > 0;
        }
        if (of_pass == 0 && microbatch > 0 && microbatch % M[N_MICROBATCHES] == 0) {
            Int& end = M[M[STEP_ENDS] + microbatch / M[N_MICROBATCHES] - 1];
            end = std::max(end, now);
        }
    }

    // ---- what a completion sets free --------------------------------------------------------------------------------

    void down_done(Int down, Int now) {
        const Int i = M[down + NEXT], arrival = now + M[down + LATENCY];
        const bool has_opened = advance(down, now);
        const Int below = M[down + BELOW], above = M[down + ABOVE];
        if (M[down + IS_AT_LEAF]) {
            M[inbox(below, IN, IN_MASK, i)] = arrival;
            try_compute(below);
        } else {
            const Int first = M[below + CHILDREN_DOWN], end = first + M[below + N_CHILDREN];
            for (Int c = first; c < end; ++c) {
                M[inbox(M[c], IN, IN_MASK, i)] = arrival;
                try_send(M[c]);
            }
        }
        if (above) {
            leave_node(above, i, now);
            try_send(down);
        } else {
            if (has_opened) plan_source(down);
            try_source(down);
        }
        if (M[IS_HALF_DUPLEX]) free_wire(M[down + WIRE]);
    }

    void leave_node(Int node, Int i, Int now) {
        Int& gone = M[inbox(node, GONE, GONE_MASK, i)];
        if (++gone < M[node + N_CHILDREN]) return;
        gone = 0;
        const Int down = M[node + DOWN_SERVER];
        M[inbox(down, ROOM, ROOM_MASK, i + M[NODE_SLOTS])] = now + M[down + LATENCY];
        if (M[down + ABOVE]) {
            try_send(down);
        } else {
            for (Int lane = 0; lane < M[node + N_WIRES_ABOVE]; ++lane) try_source(down + lane * _RECORD);
        }
    }

    void compute_done(Int leaf, Int now) {
        const Int has = M[leaf + HAS_NOW], n_feeds = M[N_FEEDS];
        if (M[leaf + LEFT] == 1) M[M[leaf + ENDED] + M[leaf + PASS]] = now;
        for (Int k = 0; k < n_feeds; ++k) {
            const Int feed = M[leaf + FEED_SERVERS] + k * _RECORD;
            if (M[feed + IS_NEEDED]) M[inbox(feed, ROOM, ROOM_MASK, M[feed + N_USED]++ + M[feed + SLOTS])] = now;
        }
        if (advance(leaf, now)) open_leaf_pass(leaf, now);
        if (has & _HAS_WEIGHTS) {
            const Int down = M[leaf + DOWN_SERVER];
            M[inbox(down, ROOM, ROOM_MASK, M[leaf + N_TAKEN]++ + M[LEAF_SLOTS])] = now + M[down + LATENCY];
            try_send(down);
        }
        if (has & _HAS_GRADIENT) {
            const Int up = M[leaf + UP_SERVER];
            M[inbox(up, IN, IN_MASK, M[leaf + N_GIVEN]++)] = now;
            try_send(up);
        }
        if (has & _HAS_DRAIN) {
            const Int drain = M[leaf + DRAIN_SERVER];
            M[inbox(drain, IN, IN_MASK, M[leaf + N_LEFT]++)] = now;
            try_one(drain);
        }
        for (Int k = 0; k < n_feeds; ++k) try_feed(M[leaf + FEED_SERVERS] + k * _RECORD);
        try_compute(leaf);
    }

    void feed_done(Int feed, Int now) {
        M[inbox(feed, OUT, OUT_MASK, M[feed + NEXT])] = now;
        if (advance(feed, now)) plan_feed(feed);
        try_compute(M[feed + LEAF]);
        try_feed(feed);
    }

    void drain_done(Int drain, Int now) {
        const Int i = M[drain + NEXT], leaf = M[drain + LEAF];
        M[inbox(drain, OUT, OUT_MASK, i)] = now;
        M[inbox(leaf, DRAIN_ROOM, DRAIN_ROOM_MASK, i + M[DRAIN_SLOTS])] = now;
        advance(drain, now);
        try_compute(leaf);
        for (Int k = 0; k < M[N_FEEDS]; ++k) try_feed(M[leaf + FEED_SERVERS] + k * _RECORD);
        try_one(drain);
    }

    void up_done(Int up, Int now) {
        const Int g = M[up + NEXT], arrival = now + M[up + LATENCY];
        advance(up, now);
        const Int above = M[up + ABOVE], below = M[up + BELOW];
        if (above) {
            arrive_at_node(above, g, arrival);
        } else {
            const Int sink = M[up + SINK];
            M[inbox(sink, IN, IN_MASK, g)] = arrival;
            try_one(sink);
        }
        M[inbox(up, HOLD, HOLD_MASK, g + M[up + HOLD_SLOTS])] = now;
        if (M[up + IS_AT_LEAF]) {
            try_compute(below);
        } else {
            try_reduce(below);
        }
        try_send(up);
        if (M[IS_HALF_DUPLEX]) free_wire(M[up + WIRE]);
    }

    void arrive_at_node(Int node, Int g, Int arrival) {
        const Int place = g & M[node + IN_MASK];
        Int& latest = M[M[node + LATEST] + place];
        Int& arrived = M[M[node + ARRIVED] + place];
        latest = std::max(latest, arrival);
        if (++arrived < M[node + N_CHILDREN]) return;
        M[M[node + IN] + place] = latest;
        latest = arrived = 0;
        try_reduce(node);
    }

    void reduce_done(Int node, Int now) {
        const Int g = M[node + NEXT], up = M[node + UP_SERVER];
        M[inbox(up, IN, IN_MASK, g)] = now;
        advance(node, now);
        for (Int lane = 0; lane < M[node + N_WIRES_ABOVE]; ++lane) try_send(up + lane * _RECORD);
        const Int first = M[node + CHILDREN_UP], end = first + M[node + N_CHILDREN];
        for (Int c = first; c < end; ++c) {
            M[inbox(M[c], ROOM, ROOM_MASK, g + M[UP_SLOTS])] = now + M[M[c] + LATENCY];
            try_send(M[c]);
        }
        try_reduce(node);
    }

    void update_done(Int sink, Int now) {
        const Int g = M[sink + NEXT], up = M[sink + UP_SERVER];
        M[M[sink + OUT] + g] = now;
        M[inbox(up, ROOM, ROOM_MASK, g + M[UP_SLOTS])] = now + M[up + LATENCY];
        if (advance(sink, now)) plan_sink(sink);
        for (Int lane = 0; lane < M[N_LANES]; ++lane) try_send(M[M[SINKS] + UP_SERVER] + lane * _RECORD);
        try_source(M[sink + DOWN_SERVER]);
        try_one(sink);
    }

    // ---- the event loop ---------------------------------------------------------------------------------------------

    void open() {
        for (Int lane = 0; lane < M[N_LANES]; ++lane) {
            plan_source(_HEAD + lane * _RECORD);
            try_source(_HEAD + lane * _RECORD);
        }
        for (Int w = 0; w < M[N_LEAVES]; ++w) {
            const Int leaf = M[LEAVES] + w * _RECORD;
            open_leaf_pass(leaf, 0);
            for (Int k = 0; k < M[N_FEEDS]; ++k) {
                plan_feed(M[leaf + FEED_SERVERS] + k * _RECORD);
                try_feed(M[leaf + FEED_SERVERS] + k * _RECORD);
            }
            try_compute(leaf);
        }
    }

    void run() {
        open();
        while (true) {
            if (M[IS_HOLE]) close_hole();
            if (M[HEAP_SIZE] == 0) return;
            const Int key = H[0], now = M[BASE] + (key >> _SHIFT);
            if (now < M[NOW]) M[WENT_BACK] = 1;
            M[NOW] = now;
            if ((key >> _SHIFT) >= _REBASE_PS) rebase();
            M[IS_HOLE] = 1;
            ++M[N_EVENTS];
            const Int server = (key & kMask) << _RECORD_BITS;
            switch (M[server + KIND]) {
                case DOWN: down_done(server, now); break;
                case COMPUTE: compute_done(server, now); break;
                case UP: up_done(server, now); break;
                case REDUCE: reduce_done(server, now); break;
                case UPDATE: update_done(server, now); break;
                case FEED: feed_done(server, now); break;
                case DRAIN: drain_done(server, now); break;
                default: arbitrate(server, now);
            }
        }
    }
};

}  // namespace

extern "C" void run_des(Int* memory, Int* heap, Int* times) { Engine{memory, heap, times}.run(); }
