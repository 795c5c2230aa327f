/* The simulator: a back end over a connected socket (POSIX). */

#define _POSIX_C_SOURCE 200809L

#include "systolith_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A request: a letter, an address and an argument. */
#define REQUEST_BYTES 17

static int send_all(int file, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size != 0) {
        ssize_t sent = send(file, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return SYSTOLITH_SOCKET_CLOSED;
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int receive_all(int file, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size != 0) {
        ssize_t received = recv(file, at, size, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return SYSTOLITH_SOCKET_CLOSED;
        at += received;
        size -= (size_t)received;
    }
    return 0;
}

/* Send a request with `sent` bytes, and receive `received` bytes of an answer that is not a
 * refusal. */
static int ask(void *context, char letter, uint64_t address, uint64_t argument, const void *data,
               size_t sent, void *answer, size_t received)
{
    const struct systolith_socket *link = context;
    uint8_t request[REQUEST_BYTES], status;
    int error;

    request[0] = (uint8_t)letter;
    for (int i = 0; i < 8; i++) {
        request[1 + i] = (uint8_t)(address >> 8 * i);
        request[9 + i] = (uint8_t)(argument >> 8 * i);
    }
    error = send_all(link->file, request, sizeof request);
    if (error == 0)
        error = send_all(link->file, data, sent);
    if (error == 0)
        error = receive_all(link->file, &status, 1);
    if (error == 0 && status != 0)
        error = SYSTOLITH_SOCKET_REFUSED;
    return error != 0 ? error : receive_all(link->file, answer, received);
}

static int read_register(void *context, uint32_t offset, uint32_t *value)
{
    uint8_t bytes[4] = {0};
    int error =
        ask(context, SYSTOLITH_LINK_READ_REGISTER, offset, 0, NULL, 0, bytes, sizeof bytes);
    *value = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
             (uint32_t)bytes[3] << 24;
    return error;
}

static int write_register(void *context, uint32_t offset, uint32_t value)
{
    return ask(context, SYSTOLITH_LINK_WRITE_REGISTER, offset, value, NULL, 0, NULL, 0);
}

static int read_memory(void *context, uint64_t address, void *data, size_t size)
{
    uint8_t *to = data;
    int error = 0;
    while (size != 0 && error == 0) {
        size_t part = size < SYSTOLITH_LINK_LARGEST_TRANSFER ? size : SYSTOLITH_LINK_LARGEST_TRANSFER;
        error = ask(context, SYSTOLITH_LINK_READ_MEMORY, address, part, NULL, 0, to, part);
        address += part;
        to += part;
        size -= part;
    }
    return error;
}

static int write_memory(void *context, uint64_t address, const void *data, size_t size)
{
    const uint8_t *from = data;
    int error = 0;
    while (size != 0 && error == 0) {
        size_t part = size < SYSTOLITH_LINK_LARGEST_TRANSFER ? size : SYSTOLITH_LINK_LARGEST_TRANSFER;
        error = ask(context, SYSTOLITH_LINK_WRITE_MEMORY, address, part, from, part, NULL, 0);
        address += part;
        from += part;
        size -= part;
    }
    return error;
}

static int wait_interrupt(void *context, uint64_t limit, bool *raised)
{
    uint8_t answer = 0;
    int error = ask(context, SYSTOLITH_LINK_WAIT_INTERRUPT, 0, limit, NULL, 0, &answer, 1);
    *raised = answer != 0;
    return error;
}

void systolith_socket_init(struct systolith_socket *link, int file)
{
    const struct systolith_bus bus = {link,        read_register, write_register,
                                      read_memory, write_memory,  wait_interrupt};
    link->bus = bus;
    link->file = file;
}

int systolith_socket_connect(struct systolith_socket *link, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file;
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    file = socket(AF_UNIX, SOCK_STREAM, 0);
    if (file < 0)
        return -1;
    if (connect(file, (const struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(file);
        errno = error;
        return -1;
    }
    systolith_socket_init(link, file);
    return 0;
}
