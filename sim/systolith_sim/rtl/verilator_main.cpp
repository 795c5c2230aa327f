// The main loop of a Verilator simulation with cocotb.
//
// The loop drives the clock itself, so that cocotb runs only in cycles in which a callback is due.
// A test bench waits for edges of `clk` and for time as usual, but must not drive `clk`. Callbacks
// run in the order that the VPI promises: those of a clock edge see the values from before the
// edge. While `bench_waits` is high, the test bench promises to wait for `irq` and for time alone.
// Until one of them comes, the loop skips the VPI, which takes longer than a small design does.
//
// With `+waves_from=` and `+waves_until=` waveforms begin and end at these cycles, counted from when
// the test bench first waits for `irq`.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_vpi.h"

#if VM_TRACE
#include "verilated_vcd_c.h"
static std::unique_ptr<VerilatedVcdC> trace;
static uint64_t waves_from = 0, waves_until = 0;  // in clock cycles; an end of 0 is none
#endif

extern "C" void vlog_startup_routines_bootstrap(void);

static const uint64_t HALF_PERIOD = 5000;  // of the clock, in ps
static const uint64_t NEVER = ~uint64_t{0};
static uint64_t now = 0;
static uint64_t wait_began = NEVER;  // the first one

double sc_time_stamp() { return static_cast<double>(now); }

#if VM_TRACE
static bool in_window() {
    if (waves_until == 0) return true;
    if (wait_began == NEVER) return false;
    const uint64_t cycle = (now - wait_began) / (2 * HALF_PERIOD);
    return waves_from <= cycle && cycle < waves_until;
}

static uint64_t number_after(const char* plusarg) {  // "name=", the number or 0
    const char* const option = Verilated::commandArgsPlusMatch(plusarg);
    return *option ? std::strtoull(option + 1 + std::strlen(plusarg), nullptr, 10) : 0;
}
#endif

static void dump() {
#if VM_TRACE
    static uint64_t dumped = NEVER;
    if (trace && now != dumped && in_window()) trace->dump(now);
    dumped = now;
#endif
}

static void settle() {
    while (VerilatedVpi::callValueCbs()) {
    }
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    const auto top = std::make_unique<Vtop>("");
    Verilated::fatalOnVpiError(false);  // cocotb looks up objects that may not exist
#if VM_TRACE
    Verilated::traceEverOn(true);
    const char* const option = Verilated::commandArgsPlusMatch("waves=");
    if (*option) {
        trace = std::make_unique<VerilatedVcdC>();
        top->trace(trace.get(), 99);
        trace->open(option + std::strlen("+waves="));
        waves_from = number_after("waves_from=");
        waves_until = number_after("waves_until=");
    }
#endif

    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    settle();

    uint64_t clock_edge = HALF_PERIOD;
    while (!Verilated::gotFinish()) {
        do {
            do {
                top->eval_step();
                VerilatedVpi::clearEvalNeeded();
                VerilatedVpi::doInertialPuts();
                settle();
            } while (VerilatedVpi::evalNeeded());
            VerilatedVpi::callCbs(cbReadWriteSynch);
            VerilatedVpi::doInertialPuts();
            settle();
        } while (VerilatedVpi::evalNeeded());
        top->eval_end_step();
        VerilatedVpi::callCbs(cbReadOnlySynch);
        dump();
        const uint64_t deadline = VerilatedVpi::cbNextDeadline();
        // No callback waits for a time or for a value: the test bench has ended.
        if (deadline == NEVER && !VerilatedVpi::hasCbs(cbValueChange)) break;
        if (top->bench_waits && wait_began == NEVER) wait_began = now;
        if (top->bench_waits && !top->irq && clock_edge < deadline) {
            do {
                now = clock_edge;
                clock_edge += HALF_PERIOD;
                top->clk = !top->clk;
                top->eval();
                dump();
            } while (!top->irq && clock_edge < deadline && !Verilated::gotFinish());
            continue;  // with the callbacks of this time
        }
        now = deadline < clock_edge ? deadline : clock_edge;
        VerilatedVpi::callCbs(cbNextSimTime);
        settle();
        VerilatedVpi::callTimedCbs();
        if (now == clock_edge) {
            top->clk = !top->clk;
            clock_edge += HALF_PERIOD;
        }
        settle();
    }

    top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
#if VM_TRACE
    if (trace) trace->close();
#endif
    return Verilated::threadContextp()->errorCount() > 0;
}
