/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: what a service manager is told, where one listens (sd_notify(3), $NOTIFY_SOCKET).
 *
 * Nothing here fails: a manager that cannot be told is none.
 */
#ifndef OS_SERVICE_H
#define OS_SERVICE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct service {
    struct sockaddr_un address;
    socklen_t size;       /* 0: nobody listens */
    uint64_t watchdog_ms; /* a sign of life is expected so often; 0: none is */
};

/* Reads $NOTIFY_SOCKET and $WATCHDOG_USEC, and takes them out of the environment. */
void service_find(struct service *service);

void service_ready(const struct service *service, const char *status); /* a line about it */
void service_reloading(const struct service *service);
void service_stopping(const struct service *service);
void service_alive(const struct service *service);

#endif
