// The rules that the accelerator's ports have to keep; the first one broken is remembered by name.
//
// `check` is called before each rising edge, when all signals have settled. Rules of AXI4 are those
// of ARM IHI 0022; window, outstanding bursts and pauses of W are what the accelerator promises.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>

struct Limits {
    uint64_t burst_beats, reads, writes;
};

template <typename Top>
class Rules {
  public:
    static constexpr unsigned BUS = sizeof(Top::m_axi_rdata);
    const char* broken = "";
    uint64_t broken_cycle = 0;
    uint64_t window_base = 0, window_end = ~uint64_t{0};
    int64_t reads = 0, writes = 0;  // outstanding
    bool lawful = true;             // the memory keeps to the rules, so its answers can be counted

    Rules(const Top& top, const Limits& limits) : top(top), limits(limits) {}

    // Nothing is under way any more, whatever was counted.
    void settle() {
        lawful = true;
        reads = writes = 0;
        addresses.clear();
        beats = ended = 0;
    }

    void check(uint64_t cycle, bool reset) {
        now = cycle;
        if (reset) {
            check_reset();
            return;
        }
        reset_cycles = 0;
        check_address<0>(top.m_axi_arvalid, top.m_axi_arready, top.m_axi_araddr, top.m_axi_arlen,
                         top.m_axi_arsize, top.m_axi_arburst, top.m_axi_arcache, top.m_axi_arprot,
                         top.m_axi_arid);
        check_address<1>(top.m_axi_awvalid, top.m_axi_awready, top.m_axi_awaddr, top.m_axi_awlen,
                         top.m_axi_awsize, top.m_axi_awburst, top.m_axi_awcache, top.m_axi_awprot,
                         top.m_axi_awid);
        check_data();
        check_answers();
        check_control();
    }

  private:
    const Top& top;
    const Limits limits;
    uint64_t now = 0;
    unsigned reset_cycles = 0;
    struct Offer {
        bool waits = false;
        uint64_t addr = 0, rest = 0;
    } offers[2];
    std::deque<unsigned> addresses;  // lengths of the bursts whose last beat is still to come
    unsigned beats = 0;              // sent, of the burst in front
    uint64_t ended = 0;              // bursts that have been sent and await their response
    bool w_waits = false, w_last = false;
    uint8_t w_bytes[BUS] = {};
    uint64_t w_strobes = 0;
    uint64_t control_aw = 0, control_w = 0, control_b = 0, control_ar = 0, control_r = 0;
    bool b_waits = false, r_waits = false;
    uint32_t r_word = 0;

    void demand(bool kept, const char* rule) {
        if (kept || *broken) return;
        broken = rule;
        broken_cycle = now;
    }

    void check_reset() {
        // The reset is synchronous: the outputs follow one edge later.
        if (reset_cycles++)
            demand(!top.m_axi_arvalid && !top.m_axi_awvalid && !top.m_axi_wvalid &&
                       !top.s_axil_bvalid && !top.s_axil_rvalid,
                   "VALID_IN_RESET");
        settle();
        offers[0] = offers[1] = {};
        w_waits = b_waits = r_waits = false;
        control_aw = control_w = control_b = control_ar = control_r = 0;
    }

    template <int WRITES>
    void check_address(bool valid, bool ready, uint64_t addr, uint64_t length, unsigned size,
                       unsigned burst, unsigned cache, unsigned prot, unsigned id) {
        Offer& offer = offers[WRITES];
        const uint64_t rest = length | uint64_t{size} << 8 | burst << 11 | cache << 13 |
                              prot << 17 | id << 20;
        if (offer.waits) {
            demand(valid, WRITES ? "AWVALID_WITHDRAWN" : "ARVALID_WITHDRAWN");
            demand(addr == offer.addr && rest == offer.rest,
                   WRITES ? "AW_CHANGED" : "AR_CHANGED");
        }
        if (valid && !offer.waits) {
            const uint64_t end = addr + (length + 1) * BUS;
            demand(addr >> 12 == (end - 1) >> 12, "BURST_CROSSES_4KIB");
            demand(length + 1 <= limits.burst_beats, "BURST_TOO_LONG");
            demand(addr % BUS == 0, "ADDRESS_UNALIGNED");
            demand(1u << size == BUS, "SIZE");
            demand(burst == 1, "BURST_TYPE");
            demand(cache == 3 && prot == 0, "CACHE_OR_PROT");
            demand(!WRITES || id == 0, "AWID");
            demand(addr >= window_base && end <= window_end, "WINDOW");
            int64_t& outstanding = WRITES ? writes : reads;
            outstanding++;
            if (lawful)
                demand(outstanding <= static_cast<int64_t>(WRITES ? limits.writes : limits.reads),
                       WRITES ? "OUTSTANDING_WRITES" : "OUTSTANDING_READS");
            if (WRITES) addresses.push_back(length + 1);
        }
        offer.waits = valid && !ready;
        offer.addr = addr;
        offer.rest = rest;
    }

    void check_data() {
        const bool valid = top.m_axi_wvalid, last = top.m_axi_wlast;
        uint64_t strobes = 0;
        std::memcpy(&strobes, &top.m_axi_wstrb, sizeof top.m_axi_wstrb);
        if (w_waits) {
            demand(valid, "WVALID_WITHDRAWN");
            demand(last == w_last && strobes == w_strobes &&
                       !std::memcmp(w_bytes, &top.m_axi_wdata, BUS),
                   "W_CHANGED");
        }
        demand(valid || beats == 0, "W_PAUSES_IN_BURST");
        if (valid) {
            demand(!addresses.empty(), "W_WITHOUT_BURST");
            if (!addresses.empty()) demand(last == (beats + 1 == addresses.front()), "WLAST");
        }
        w_waits = valid && !top.m_axi_wready;
        if (w_waits) {
            w_last = last;
            w_strobes = strobes;
            std::memcpy(w_bytes, &top.m_axi_wdata, BUS);
        }
        if (valid && top.m_axi_wready) {
            beats++;
            if (last) {
                beats = 0;
                if (!addresses.empty()) addresses.pop_front();
            }
        }
    }

    void check_answers() {
        if (top.m_axi_rvalid && top.m_axi_rready && top.m_axi_rlast && reads) reads--;
        if (top.m_axi_bvalid && top.m_axi_bready && writes) writes--;
    }

    void check_control() {
        const bool b = top.s_axil_bvalid, r = top.s_axil_rvalid;
        if (b) {
            demand(control_b < control_aw && control_b < control_w, "CONTROL_B_BEFORE_WRITE");
            demand(top.s_axil_bresp == 0, "CONTROL_BRESP");
        }
        demand(b || !b_waits, "CONTROL_BVALID_WITHDRAWN");
        if (r) {
            demand(control_r < control_ar, "CONTROL_R_BEFORE_READ");
            demand(top.s_axil_rresp == 0, "CONTROL_RRESP");
        }
        demand(!r_waits || (r && r_word == top.s_axil_rdata), "CONTROL_R_CHANGED");
        b_waits = b && !top.s_axil_bready;
        r_waits = r && !top.s_axil_rready;
        r_word = top.s_axil_rdata;
        control_aw += top.s_axil_awvalid && top.s_axil_awready;
        control_w += top.s_axil_wvalid && top.s_axil_wready;
        control_b += b && top.s_axil_bready;
        control_ar += top.s_axil_arvalid && top.s_axil_arready;
        control_r += r && top.s_axil_rready;
    }
};
