// The storage of axi_memory.v under Verilator: a file that is mapped into memory and shared with
// Python.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "svdpi.h"

static uint8_t* bytes = nullptr;

extern "C" void systolith_memory_open(const char* path, long long* size) {
    const int file = open(path, O_RDWR);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0) {
        std::fprintf(stderr, "axi_memory: the image %s cannot be opened\n", path);
        std::exit(3);
    }
    void* const map = mmap(nullptr, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED) {
        std::fprintf(stderr, "axi_memory: the image %s cannot be mapped\n", path);
        std::exit(3);
    }
    bytes = static_cast<uint8_t*>(map);
    *size = status.st_size;
}

// Addresses have been checked by the caller. Simulation hosts are little-endian, as vectors are.

extern "C" void systolith_memory_read(long long address, int count, svBitVecVal* data) {
    std::memcpy(data, bytes + address, count);
}

extern "C" void systolith_memory_write(long long address, int count, const svBitVecVal* data,
                                       const svBitVecVal* strobe) {
    const uint8_t* const source = reinterpret_cast<const uint8_t*>(data);
    uint64_t mask = strobe[0];
    if (count > 32) mask |= static_cast<uint64_t>(strobe[1]) << 32;
    const uint64_t all = count == 64 ? ~0ULL : (1ULL << count) - 1;
    if (mask == all) {
        std::memcpy(bytes + address, source, count);
        return;
    }
    for (int lane = 0; lane < count; ++lane) {
        if (mask >> lane & 1) bytes[address + lane] = source[lane];
    }
}
