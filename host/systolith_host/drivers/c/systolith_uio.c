/* Linux: a back end over UIO (registers and interrupt) and u-dma-buf (memory). */

#define _POSIX_C_SOURCE 200809L

#include "systolith_uio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SYSFS "/sys/class/u-dma-buf"
#define LONGEST_PATH 256

/* A wait is given this much longer than its cycles take: the system may be busy. */
#define SLACK_MS 100.0
#define LONGEST_WAIT_MS 1e9

/* Read a number from the file DIR/NAME/FACT, in any base that C knows; 0, or -1 with errno. */
static int read_fact(const char *folder, const char *name, const char *fact, uint64_t *value)
{
    char text[LONGEST_PATH], *end;
    FILE *file;
    int length = snprintf(text, sizeof text, "%s/%s/%s", folder, name, fact);
    if (length < 0 || (size_t)length >= sizeof text) {
        errno = ENAMETOOLONG;
        return -1;
    }
    file = fopen(text, "r");
    if (file == NULL)
        return -1;
    errno = EIO;
    end = fgets(text, sizeof text, file);
    fclose(file);
    if (end == NULL)
        return -1;
    errno = 0;
    *value = strtoull(text, &end, 0);
    if (errno == 0 && end == text)
        errno = EINVAL;
    return errno == 0 ? 0 : -1;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Memory is not cached, but writes to it may still be on their way when a register is written. */
static void barrier(void *context, const void *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
#if defined(__aarch64__) || defined(__ARM_ARCH_7A__)
    __asm__ volatile("dsb sy" ::: "memory");
#else
    __sync_synchronize();
#endif
}

/* The interrupt's level is IRQ_PENDING, and the kernel disables the interrupt each time that it
 * comes: it is enabled here, and one that was left from before is passed over. */
static int wait_interrupt(void *context, uint64_t limit, bool *raised)
{
    struct systolith_uio *uio = (struct systolith_uio *)context;
    double left_ms = (double)limit / uio->clock_hz * 1e3 + SLACK_MS;
    double end_ms = now_ms() + (left_ms < LONGEST_WAIT_MS ? left_ms : LONGEST_WAIT_MS);
    for (;;) {
        struct pollfd wait = {uio->file, POLLIN, 0};
        const uint32_t enable = 1;
        uint32_t count, pending;
        int ready;
        if (write(uio->file, &enable, sizeof enable) != (ssize_t)sizeof enable)
            return SYSTOLITH_UIO_WAIT_FAILED;
        left_ms = end_ms - now_ms();
        ready = poll(&wait, 1, left_ms > 0 ? (int)left_ms + 1 : 0);
        if (ready < 0 && errno != EINTR)
            return SYSTOLITH_UIO_WAIT_FAILED;
        if (ready > 0 && read(uio->file, &count, sizeof count) != (ssize_t)sizeof count)
            return SYSTOLITH_UIO_WAIT_FAILED;
        uio->mmio.bus.read_register(&uio->mmio, SYSTOLITH_REG_IRQ_PENDING, &pending);
        *raised = (pending & SYSTOLITH_IRQ_PENDING_END) != 0;
        if (*raised || left_ms <= 0)
            return 0;
    }
}

/* Close files and end with the error that is in errno. */
static int give_up(struct systolith_uio *uio)
{
    int error = errno;
    systolith_uio_close(uio);
    errno = error;
    return -1;
}

int systolith_uio_open(struct systolith_uio *uio, const char *device, const char *buffer,
                       const char *sysfs, double clock_hz)
{
    const struct systolith_uio closed = {.file = -1, .memory_file = -1, .clock_hz = clock_hz};
    char path[LONGEST_PATH];
    uint64_t size;
    void *map;
    int length;

    *uio = closed;
    if (sysfs == NULL)
        sysfs = SYSFS;
    if (read_fact(sysfs, buffer, "size", &size) != 0 ||
        read_fact(sysfs, buffer, "phys_addr", &uio->memory_base) != 0)
        return -1;
    length = snprintf(path, sizeof path, "/dev/%s", buffer);
    if (length < 0 || (size_t)length >= sizeof path || size == 0 || size > SIZE_MAX) {
        errno = EINVAL;
        return -1;
    }
    uio->file = open(device, O_RDWR);
    if (uio->file < 0)
        return give_up(uio);
    /* O_SYNC: past the processor's cache, so that it has not to be flushed. */
    uio->memory_file = open(path, O_RDWR | O_SYNC);
    if (uio->memory_file < 0)
        return give_up(uio);
    map = mmap(NULL, SYSTOLITH_REGISTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, uio->file, 0);
    if (map == MAP_FAILED)
        return give_up(uio);
    uio->mmio.registers = map;
    map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, uio->memory_file, 0);
    if (map == MAP_FAILED)
        return give_up(uio);
    uio->mmio.memory = map;
    uio->mmio.memory_size = size;
    uio->mmio.flush = barrier;
    uio->mmio.invalidate = barrier;
    systolith_mmio_init(&uio->mmio);
    uio->mmio.bus.wait_interrupt = wait_interrupt;
    return 0;
}

void systolith_uio_close(struct systolith_uio *uio)
{
    if (uio->mmio.memory != NULL)
        munmap(uio->mmio.memory, (size_t)uio->mmio.memory_size);
    if (uio->mmio.registers != NULL)
        munmap((void *)uio->mmio.registers, SYSTOLITH_REGISTER_BYTES);
    if (uio->memory_file >= 0)
        close(uio->memory_file);
    if (uio->file >= 0)
        close(uio->file);
    uio->mmio.memory = NULL;
    uio->mmio.registers = NULL;
    uio->file = uio->memory_file = -1;
}
