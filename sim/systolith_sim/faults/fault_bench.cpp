// The accelerator next to a memory that misbehaves on demand, as a process that obeys requests.
//
// Arguments: the memory's image, which both sides map; the longest burst; and the limits of
// outstanding reads and writes; then Verilator's own. Requests come on standard input, eight little-endian numbers of 64
// bits each, the first an operation (systolith_sim.faults.bench). Those that ask something are
// answered on standard output with 64 bytes. With Verilator's coverage its counts go to a file next to
// the image, with ".coverage" behind its name, on request.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "Vtop.h"
#include "axi_memory.h"
#include "axi_rules.h"
#include "registers.h"  // generated: the offset of each register
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

double sc_time_stamp() { return 0; }

enum Operation { WRITE = 1, READ, RUN, WAIT, IDLE, RESULT, RESET, TIMING, FAULT, HEAL, RESTART,
                 REPORT, WINDOW, BASE, SETTLE, COVERAGE };

static const uint64_t CONTROL_LIMIT = 1000;  // cycles of an access to a register

class Bench {
  public:
    Bench(uint8_t* bytes, uint64_t size, const Limits& limits, const std::string& coverage)
        : memory(top, bytes, size), rules(top, limits), coverage(coverage) {
        top.clk = 0;
        top.rst = 1;
        reset(3);
    }

    // Return whether there is an answer.
    bool obey(const uint64_t* request, uint64_t* answer) {
        const uint64_t a = request[1], b = request[2], c = request[3], d = request[4];
        switch (request[0]) {
            case WRITE: write(a, b); return false;
            case READ: answer[0] = read(a); return true;
            case RUN: for (uint64_t left = a; left--;) tick(); return false;
            case WAIT: {
                uint64_t cycles = 0;
                for (; cycles < a && !top.irq; cycles++) tick();
                answer[0] = top.irq;
                answer[1] = cycles;
                return true;
            }
            case IDLE: {
                const uint64_t start = total;
                while (!(answer[0] = !(read(STATUS) & 1)) && total - start < a) {}
                answer[1] = total - start;
                return true;
            }
            case RESULT:
                answer[0] = read(STATUS);
                answer[1] = read(ERROR_CODE);
                answer[2] = read(ERROR_ENGINE);
                answer[3] = read(ERROR_INFO) | uint64_t{read(ERROR_INFO + 4)} << 32;
                return true;
            case RESET: reset(a); return false;
            case TIMING:
                memory.timing.least_latency = a;
                memory.timing.most_latency = b;
                for (unsigned channel = 0; channel < CHANNELS; channel++)
                    memory.timing.stalls[channel] = c >> 8 * channel;
                memory.timing.by_id = d & 1;
                memory.timing.interleaves = d & 2;
                memory.timing.data_first = d & 4;
                memory.timing.address_first = d & 8;
                return false;
            case FAULT:
                memory.add({a, b, c, d});
                if (a >= STRAY_R) rules.lawful = false;
                return false;
            case HEAL: memory.heal(); return false;
            case RESTART:
                memory.restart(a);
                host.state = a + 1;
                return false;
            case REPORT:
                answer[0] = memory.injected.count;
                answer[1] = memory.injected.cycle;
                answer[2] = memory.injected.id;
                answer[3] = memory.cycle | memory.read_beats << 24 | memory.responses << 44;
                answer[4] = rules.reads | rules.writes << 16 | uint64_t{!!top.irq} << 32;
                // The rest is the name of the first broken rule.
                std::strncpy(reinterpret_cast<char*>(answer + 5), rules.broken, 24);
                rules.broken = "";
                return true;
            case WINDOW:
                rules.window_base = a;
                rules.window_end = b;
                return false;
            case BASE: memory.base = a; return false;
            case SETTLE: {
                uint64_t cycles = 0;
                for (; cycles < a && !memory.at_rest(); cycles++) tick();
                if ((answer[0] = memory.at_rest())) rules.settle();
                answer[1] = cycles;
                return true;
            }
            case COVERAGE:
#if VM_COVERAGE
                Verilated::threadContextp()->coveragep()->write(coverage.c_str());
                answer[0] = 1;
#endif
                return true;
        }
        std::fprintf(stderr, "no operation %llu\n", static_cast<unsigned long long>(request[0]));
        std::exit(2);
    }

    ~Bench() { top.final(); }

  private:
    Vtop top;
    Memory<Vtop> memory;
    Rules<Vtop> rules;
    Random host;
    const std::string coverage;
    uint64_t total = 0;

    void tick() {
        rules.check(total, top.rst);
        memory.sample();
        top.clk = 1;
        top.eval();
        if (!top.rst) memory.drive();
        top.clk = 0;
        top.eval();
        total++;
    }

    void reset(uint64_t cycles) {
        top.rst = 1;
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = 0;
        top.s_axil_bready = top.s_axil_rready = 0;
        memory.reset();
        top.eval();
        while (cycles--) tick();
        memory.reset();
        top.rst = 0;
        top.eval();
    }

    // Address, data and response each come after a delay of their own, in any order.
    void write(uint64_t offset, uint32_t value) {
        unsigned address_wait = host.next() & 3, data_wait = host.next() & 3;
        unsigned ready_wait = host.next() & 3;
        bool address = true, data = true;
        top.s_axil_awaddr = offset;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = 15;
        for (uint64_t left = CONTROL_LIMIT; left--;) {
            top.s_axil_awvalid = address && !address_wait;
            top.s_axil_wvalid = data && !data_wait;
            top.s_axil_bready = !ready_wait;
            address_wait -= address_wait != 0;
            data_wait -= data_wait != 0;
            ready_wait -= ready_wait != 0;
            top.eval();
            const bool took_address = top.s_axil_awvalid && top.s_axil_awready;
            const bool took_data = top.s_axil_wvalid && top.s_axil_wready;
            const bool done = top.s_axil_bvalid && top.s_axil_bready;
            tick();
            address &= !took_address;
            data &= !took_data;
            if (done) break;
            if (!left) hang();
        }
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
        top.eval();
    }

    uint32_t read(uint64_t offset) {
        unsigned ready_wait = host.next() & 3;
        bool address = true;
        uint32_t word = 0;
        top.s_axil_araddr = offset;
        for (uint64_t left = CONTROL_LIMIT; left--;) {
            top.s_axil_arvalid = address;
            top.s_axil_rready = !ready_wait;
            ready_wait -= ready_wait != 0;
            top.eval();
            const bool took_address = top.s_axil_arvalid && top.s_axil_arready;
            const bool done = top.s_axil_rvalid && top.s_axil_rready;
            word = top.s_axil_rdata;
            tick();
            address &= !took_address;
            if (done) break;
            if (!left) hang();
        }
        top.s_axil_arvalid = top.s_axil_rready = 0;
        top.eval();
        return word;
    }

    void hang() {
        if (!*rules.broken) rules.broken = "CONTROL_PORT_HANGS";
    }
};

static bool read_all(uint64_t* words, size_t size) {
    auto* bytes = reinterpret_cast<uint8_t*>(words);
    return std::fread(bytes, 1, size, stdin) == size;
}

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    if (argc < 5) return 2;
    const int file = open(argv[1], O_RDWR);
    struct stat found;
    if (file < 0 || fstat(file, &found)) return 2;
    void* image = mmap(nullptr, found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (image == MAP_FAILED) return 2;
    const Limits limits = {std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
                           std::strtoull(argv[4], nullptr, 10)};
    const auto bench = std::make_unique<Bench>(static_cast<uint8_t*>(image), found.st_size, limits,
                                               std::string(argv[1]) + ".coverage");
    uint64_t request[8], answer[8];
    while (read_all(request, sizeof request)) {
        std::memset(answer, 0, sizeof answer);
        if (!bench->obey(request, answer)) continue;
        if (std::fwrite(answer, sizeof answer, 1, stdout) != 1) return 1;
        std::fflush(stdout);
    }
    return 0;
}
