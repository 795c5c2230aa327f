/* Stands in for Linux below the UIO back end: /dev/uio0 and /dev/udmabuf0 of a simulated device.
 *
 * Registers and the interrupt go over a link to the device; the buffer is the file that is its
 * memory. As uio_pdrv_genirq does it, the interrupt is disabled each time that it comes, until a
 * program enables it. The registers' page can be neither read nor written but by the macros.
 *
 *   FAKE_LINK      descriptor of the link's socket
 *   FAKE_MEMORY    file that is the device's memory
 *   FAKE_BASE      where in it the buffer is
 *   FAKE_SYSFS     folder in place of /sys/class/u-dma-buf
 *   FAKE_SPURIOUS  interrupts that come without a reason first
 *   FAKE_FAIL      "poll", "read" or "write": what fails; "signal": one interrupts a wait
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "systolith_socket.h"

/* Cycles of the simulated clock in a millisecond: the clock that the tests give is 1 MHz. */
#define CYCLES_OF_MS 1000u

#define SYSFS "/sys/class/u-dma-buf"

int __real_open(const char *path, int flags, ...);
void *__real_mmap(void *at, size_t size, int access, int flags, int file, off_t offset);
ssize_t __real_write(int file, const void *bytes, size_t size);
ssize_t __real_read(int file, void *bytes, size_t size);
FILE *__real_fopen(const char *path, const char *mode);
int __wrap_open(const char *path, int flags, ...);
void *__wrap_mmap(void *at, size_t size, int access, int flags, int file, off_t offset);
ssize_t __wrap_write(int file, const void *bytes, size_t size);
ssize_t __wrap_read(int file, void *bytes, size_t size);
int __wrap_poll(struct pollfd *files, nfds_t count, int timeout);
FILE *__wrap_fopen(const char *path, const char *mode);

static struct systolith_socket link_;
static int uio = -1;
static volatile uint32_t *page;
static int enabled;

static const char *setting(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? "" : text;
}

static void bad(const char *what)
{
    fprintf(stderr, "fake kernel: %s\n", what);
    abort();
}

int __wrap_open(const char *path, int flags, ...)
{
    if (strcmp(path, "/dev/uio0") == 0) {
        systolith_socket_init(&link_, atoi(setting("FAKE_LINK")));
        uio = dup(link_.file);
        return uio;
    }
    if (strcmp(path, "/dev/udmabuf0") == 0) {
        if ((flags & O_SYNC) == 0)
            bad("the buffer is opened without O_SYNC, so that it is cached");
        return __real_open(setting("FAKE_MEMORY"), O_RDWR);
    }
    return __real_open(path, flags);
}

void *__wrap_mmap(void *at, size_t size, int access, int flags, int file, off_t offset)
{
    if (file != uio)
        return __real_mmap(at, size, access, flags, file,
                           offset + (off_t)strtoul(setting("FAKE_BASE"), NULL, 0));
    if (offset != 0 || size != SYSTOLITH_REGISTER_BYTES)
        bad("registers are mapped at another place, or not all of them");
    return (void *)fake_page();
}

volatile uint32_t *fake_page(void)
{
    systolith_socket_init(&link_, atoi(setting("FAKE_LINK")));
    page = __real_mmap(NULL, SYSTOLITH_REGISTER_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    return page;
}

static uint32_t offset_of(volatile uint32_t *place)
{
    if (place < page || place >= page + SYSTOLITH_REGISTER_BYTES / 4)
        bad("a register beyond the page");
    return (uint32_t)((place - page) * 4);
}

uint32_t fake_read(volatile uint32_t *place)
{
    uint32_t value = 0;
    if (link_.bus.read_register(link_.bus.context, offset_of(place), &value) != 0)
        bad("the link fails");
    return value;
}

void fake_write(volatile uint32_t *place, uint32_t value)
{
    if (link_.bus.write_register(link_.bus.context, offset_of(place), value) != 0)
        bad("the link fails");
}

ssize_t __wrap_write(int file, const void *bytes, size_t size)
{
    uint32_t enable;
    if (file != uio)
        return __real_write(file, bytes, size);
    if (strcmp(setting("FAKE_FAIL"), "write") == 0) {
        errno = EIO;
        return -1;
    }
    if (size != sizeof enable)
        bad("the interrupt is enabled with other than 4 bytes");
    memcpy(&enable, bytes, sizeof enable);
    enabled = enable == 1;
    return (ssize_t)size;
}

ssize_t __wrap_read(int file, void *bytes, size_t size)
{
    if (file != uio)
        return __real_read(file, bytes, size);
    if (strcmp(setting("FAKE_FAIL"), "read") == 0) {
        errno = EIO;
        return -1;
    }
    memset(bytes, 1, size);
    return size == 4 ? 4 : -1;
}

int __wrap_poll(struct pollfd *files, nfds_t count, int timeout)
{
    static long spurious = -1;
    bool raised = false;
    if (count != 1 || files->fd != uio || files->events != POLLIN || timeout < 0)
        bad("a wait for something else, or without a limit");
    if (strcmp(setting("FAKE_FAIL"), "poll") == 0) {
        errno = EIO;
        return -1;
    }
    if (strcmp(setting("FAKE_FAIL"), "signal") == 0 && spurious == -1) {
        spurious = 0;
        errno = EINTR;
        return -1;
    }
    if (spurious < 0)
        spurious = strtol(setting("FAKE_SPURIOUS"), NULL, 0);
    if (spurious > 0) {
        spurious--;
        raised = true;
    } else if (enabled &&
               link_.bus.wait_interrupt(link_.bus.context, (uint64_t)timeout * CYCLES_OF_MS,
                                        &raised) != 0) {
        bad("the link fails");
    }
    if (!raised) {
        const struct timespec wait = {timeout / 1000, timeout % 1000 * 1000000L};
        nanosleep(&wait, NULL);
        return 0;
    }
    enabled = 0;
    files->revents = POLLIN;
    return 1;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    char place[512];
    if (strncmp(path, SYSFS, strlen(SYSFS)) != 0)
        return __real_fopen(path, mode);
    snprintf(place, sizeof place, "%s%s", setting("FAKE_SYSFS"), path + strlen(SYSFS));
    return __real_fopen(place, mode);
}
