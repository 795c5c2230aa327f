/* The simulator: a back end over a connected socket (POSIX). */

#ifndef SYSTOLITH_SOCKET_H
#define SYSTOLITH_SOCKET_H

#include "systolith.h"

struct systolith_socket {
    struct systolith_bus bus; /* give &socket.bus to systolith_open */
    int file;
};

/* What callbacks return. */
enum { SYSTOLITH_SOCKET_CLOSED = 1, SYSTOLITH_SOCKET_REFUSED = 2 };

/* Use a connected stream socket. */
void systolith_socket_init(struct systolith_socket *link, int file);
/* Connect to the Unix socket at a path; 0, or -1 with errno. */
int systolith_socket_connect(struct systolith_socket *link, const char *path);

#endif
