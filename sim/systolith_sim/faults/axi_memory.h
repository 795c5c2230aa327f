// An AXI4 memory that misbehaves on demand: stalls, orders, errors, dead channels, broken rules.
//
// Ports are sampled before a rising edge (`sample`) and driven after it (`drive`). All choices come
// from one generator, which `restart` seeds, so that a run can be repeated up to a fault.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>


enum Channel { AR, R, AW, W, B, CHANNELS };

enum Kind {  // of a fault; `at` counts beats, responses or cycles since `restart`
    R_ERROR = 1,  // beat `at`, and `length` in all, is answered with `argument`
    B_ERROR,      // the same for responses
    DEAD,         // the channels of the mask `argument` do nothing for `length` cycles from `at` on
    STRAY_R,      // a beat that nobody asked for: bit 0 of `argument` is its ID, bit 1 its RLAST
    STRAY_B,      // a response to nothing; bit 0 of `argument` is its ID
    EARLY_LAST,   // RLAST before a burst's end; the rest of it comes (`argument` 1) or does not (0)
    NO_LAST,      // the last beat of a burst comes without RLAST
    WRONG_R_ID,   // a beat comes with the other ID
    LOST_BEAT,    // a beat is left out
    DOUBLE_BEAT,  // a beat comes twice
    EARLY_B,      // a response comes before the last beat of its burst
    WRONG_B_ID,   // a response comes with another ID
};

struct Fault {
    uint64_t kind, at, length, argument;
};

struct Random {
    uint64_t state = 1;
    uint32_t next() {  // SplitMix64
        uint64_t z = (state += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
    }
    bool happens(uint32_t of_256) { return of_256 != 0 && (next() & 255) < of_256; }
    uint64_t between(uint64_t low, uint64_t high) { return low + next() % (high - low + 1); }
};

struct Timing {
    uint64_t least_latency = 1, most_latency = 1;
    uint8_t stalls[CHANNELS] = {};  // chance of a pause, of 256
    bool by_id = false;             // bursts of different IDs may overtake each other
    bool interleaves = false;       // and their beats may be mixed
    bool data_first = false;        // AWREADY waits for WVALID
    bool address_first = false;     // WREADY waits for the address
};

struct Injected {
    uint64_t count = 0, cycle = 0, id = 0;  // the first one's cycle and ID
};

template <typename Top>
class Memory {
  public:
    static constexpr unsigned BUS = sizeof(Top::m_axi_rdata);
    Timing timing;
    Injected injected;
    uint64_t base = 0;
    uint64_t cycle = 0, read_beats = 0, responses = 0;

    Memory(Top& top, uint8_t* bytes, uint64_t size) : top(top), bytes(bytes), size(size) {}

    void restart(uint64_t seed) {
        random.state = seed;
        cycle = read_beats = responses = 0;
        injected = {};
        faults.clear();
    }

    void add(const Fault& fault) { faults.push_back(fault); }
    void heal() { faults.clear(); }
    bool at_rest() const {
        return reads.empty() && addresses.empty() && data.empty() && answers.empty() &&
               !top.m_axi_rvalid && !top.m_axi_bvalid;
    }

    void reset() {
        reads.clear();
        addresses.clear();
        data.clear();
        answers.clear();
        owed = 0;
        begun = addressed = 0;
        in_burst_of = NOBODY;
        repeats = false;
        top.m_axi_rvalid = top.m_axi_bvalid = 0;
        top.m_axi_arready = top.m_axi_awready = top.m_axi_wready = 0;
    }

    void sample() {
        if (top.m_axi_arvalid && top.m_axi_arready)
            reads.push_back({top.m_axi_araddr, top.m_axi_arlen + 1u, 0, top.m_axi_arid, due()});
        if (top.m_axi_awvalid && top.m_axi_awready) {
            addresses.push_back({top.m_axi_awaddr, top.m_axi_awlen + 1u});
            addressed++;
        }
        if (top.m_axi_wvalid && top.m_axi_wready) {
            if (data.empty() || data.back().whole) {
                data.push_back({});
                begun++;
            }
            Beat beat;
            std::memcpy(beat.bytes, &top.m_axi_wdata, BUS);
            beat.strobes = 0;
            std::memcpy(&beat.strobes, &top.m_axi_wstrb, sizeof top.m_axi_wstrb);
            data.back().beats.push_back(beat);
            data.back().whole = top.m_axi_wlast;
        }
        taken_r = top.m_axi_rvalid && top.m_axi_rready;
        taken_b = top.m_axi_bvalid && top.m_axi_bready;
        cycle++;
    }

    void drive() {
        commit();
        answers_early = false;
        drive_r();
        drive_b();
        top.m_axi_arready = !dead(AR) && !pauses(AR);
        const bool data_waits = top.m_axi_wvalid || begun > addressed;
        top.m_axi_awready =
            !dead(AW) && !pauses(AW) && (!timing.data_first || data_waits);
        // An address that is taken in this cycle counts in the next one.
        const bool in_burst = !data.empty() && !data.back().whole;
        const bool address_known = in_burst ? begun <= addressed : begun < addressed;
        top.m_axi_wready = !answers_early && !dead(W) && !pauses(W) && (!timing.address_first || address_known);
    }

  private:
    struct Read {
        uint64_t addr;
        unsigned beats, beat, id;
        uint64_t due;
    };
    struct Address {
        uint64_t addr;
        unsigned beats;
    };
    struct Beat {
        uint8_t bytes[BUS];
        uint64_t strobes;
    };
    struct Data {
        std::vector<Beat> beats;
        bool whole = false;
    };
    struct Answer {
        unsigned response;
        uint64_t due;
    };

    Top& top;
    uint8_t* bytes;
    uint64_t size;
    Random random;
    std::vector<Fault> faults;
    std::deque<Read> reads;
    std::deque<Address> addresses;
    std::deque<Data> data;
    std::deque<Answer> answers;
    uint64_t begun = 0, addressed = 0;  // bursts whose data has begun, whose address is here
    unsigned owed = 0;                  // bursts that were answered before their time
    bool taken_r = false, taken_b = false;
    bool repeats = false, answers_early = false;

    uint64_t due() { return cycle + random.between(timing.least_latency, timing.most_latency); }
    bool pauses(Channel channel) { return random.happens(timing.stalls[channel]); }

    bool dead(Channel channel) {
        bool found = false;
        for (const Fault& fault : faults)
            if (fault.kind == DEAD && cycle >= fault.at && cycle - fault.at < fault.length &&
                (fault.argument >> channel & 1)) {
                found = true;
                if (!injected.count) note(0);
            }
        return found;
    }

    void note(unsigned id) {
        if (!injected.count++) {
            injected.cycle = cycle;
            injected.id = id;
        }
    }

    // Return the fault of a kind that is due when `count` beats have passed, and use it up.
    const Fault* due_fault(uint64_t kind, uint64_t count, Fault& copy) {
        for (size_t index = 0; index < faults.size(); index++) {
            Fault& fault = faults[index];
            if (fault.kind != kind || count < fault.at || !fault.length) continue;
            copy = fault;
            fault.length--;
            return &copy;
        }
        return nullptr;
    }

    bool inside(uint64_t addr) const { return addr >= base && addr - base + BUS <= size; }

    void commit() {
        while (!addresses.empty() && !data.empty() && data.front().whole) {
            unsigned response = 0;
            uint64_t addr = addresses.front().addr & ~uint64_t{BUS - 1};
            for (const Beat& beat : data.front().beats) {
                if (!inside(addr)) {
                    response = 3;
                } else {
                    for (unsigned lane = 0; lane < BUS; lane++)
                        if (beat.strobes >> lane & 1) bytes[addr - base + lane] = beat.bytes[lane];
                }
                addr += BUS;
            }
            addresses.pop_front();
            data.pop_front();
            if (owed)
                owed--;
            else
                answers.push_back({response, due()});
        }
        if (data.empty() && addresses.empty()) begun = addressed = 0;
    }

    void drive_r() {
        if (taken_r) top.m_axi_rvalid = 0;
        if (top.m_axi_rvalid || dead(R) || pauses(R)) return;
        Fault fault;
        if (due_fault(STRAY_R, cycle, fault)) {
            present(fault.argument & 1, 0, fault.argument >> 1 & 1);
            for (unsigned lane = 0; lane < BUS; lane++)
                reinterpret_cast<uint8_t*>(&top.m_axi_rdata)[lane] = random.next();
            note(fault.argument & 1);
            return;
        }
        const size_t chosen = choose();
        if (chosen == reads.size()) return;
        Read& read = reads[chosen];
        unsigned id = read.id, response = 0;
        bool last = read.beat + 1 == read.beats, ends = last;
        const uint64_t addr = (read.addr & ~uint64_t{BUS - 1}) + uint64_t{read.beat} * BUS;
        if (inside(addr))
            std::memcpy(&top.m_axi_rdata, bytes + (addr - base), BUS);
        else
            response = 3;
        const uint64_t beat = read_beats;
        if (due_fault(R_ERROR, beat, fault)) {
            response = fault.argument;
            note(id);
        }
        if (due_fault(WRONG_R_ID, beat, fault)) {
            note(id);
            id ^= 1;
        }
        if (!last && due_fault(EARLY_LAST, beat, fault)) {
            note(id);
            last = true;
            ends = !fault.argument;
        } else if (last && due_fault(NO_LAST, beat, fault)) {
            note(id);
            last = false;
        }
        bool advances = true;
        if (repeats) {
            repeats = false;
        } else if (due_fault(DOUBLE_BEAT, beat, fault)) {
            note(id);
            repeats = true;
            advances = ends = false;
        }
        if (due_fault(LOST_BEAT, beat, fault)) {
            note(id);
        } else {
            present(id, response, last);
        }
        if (advances) {
            read.beat++;
            read_beats++;
        }
        in_burst_of = ends ? NOBODY : read.id;
        if (ends) reads.erase(reads.begin() + chosen);
    }

    static constexpr unsigned NOBODY = 2;
    unsigned in_burst_of = NOBODY;  // the ID whose burst is under way

    // Return the burst whose beat comes next, or the number of bursts: none can.
    size_t choose() {
        size_t first[2] = {reads.size(), reads.size()};
        for (size_t index = reads.size(); index-- > 0;) first[reads[index].id] = index;
        auto ready = [&](size_t index) {
            return index != reads.size() && (reads[index].due <= cycle || reads[index].beat);
        };
        if (in_burst_of != NOBODY && first[in_burst_of] == reads.size()) in_burst_of = NOBODY;
        if (in_burst_of != NOBODY && !timing.interleaves) return first[in_burst_of];
        if (!timing.by_id && !timing.interleaves) {
            return !reads.empty() && ready(0) ? 0 : reads.size();
        }
        if (ready(first[0]) && ready(first[1])) return first[random.next() & 1];
        return ready(first[0]) ? first[0] : ready(first[1]) ? first[1] : reads.size();
    }

    void present(unsigned id, unsigned response, bool last) {
        top.m_axi_rvalid = 1;
        top.m_axi_rid = id;
        top.m_axi_rresp = response;
        top.m_axi_rlast = last;
    }

    void drive_b() {
        if (taken_b) top.m_axi_bvalid = 0;
        if (top.m_axi_bvalid || dead(B) || pauses(B)) return;
        Fault fault;
        if (due_fault(STRAY_B, cycle, fault)) {
            answer(fault.argument & 1, 0);
            note(0);
            return;
        }
        const bool open = !addresses.empty() && (data.empty() || !data.front().whole);
        if (open && !owed && answers.empty() && due_fault(EARLY_B, responses, fault)) {
            answer(0, 0);
            owed++;
            answers_early = true;  // and no last beat comes in the same cycle
            note(0);
            return;
        }
        if (answers.empty() || answers.front().due > cycle) return;
        unsigned response = answers.front().response, id = 0;
        if (due_fault(B_ERROR, responses, fault)) {
            response = fault.argument;
            note(0);
        }
        if (due_fault(WRONG_B_ID, responses, fault)) {
            id = 1;
            note(0);
        }
        answer(id, response);
        responses++;
        answers.pop_front();
    }

    void answer(unsigned id, unsigned response) {
        top.m_axi_bvalid = 1;
        top.m_axi_bid = id;
        top.m_axi_bresp = response;
    }
};
