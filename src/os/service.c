/* SPDX-License-Identifier: Apache-2.0 */
#include "os/service.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

enum { MESSAGE_MAX = 1024 };

void service_find(struct service *service)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const char *watchdog = getenv("WATCHDOG_USEC");
    size_t len = path == NULL ? 0 : strlen(path);
    uint64_t us = 0;

    *service = (struct service){.address = {.sun_family = AF_UNIX}};
    if (len > 1 && len < sizeof(service->address.sun_path) && (path[0] == '/' || path[0] == '@')) {
        memcpy(service->address.sun_path, path, len);
        service->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        if (path[0] == '@') {
            service->address.sun_path[0] = '\0'; /* an abstract name */
        }
    }
    if (service->size > 0 && watchdog != NULL && str_to_u64(str_from(watchdog), &us)) {
        service->watchdog_ms = us / 1000;
    }
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void say(const struct service *service, const char *text)
{
    if (service->size == 0) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                     (const struct sockaddr *)&service->address, service->size);
        (void)close(fd);
    }
}

void service_ready(const struct service *service, const char *status)
{
    char text[MESSAGE_MAX];

    (void)snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
    for (char *c = text + strlen("READY=1\n"); *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : *c; /* a line is a variable of its own */
    }
    say(service, text);
}

void service_reloading(const struct service *service)
{
    struct timespec now;
    char text[MESSAGE_MAX];

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)now.tv_sec * 1000000 +
                       (unsigned long long)now.tv_nsec / 1000);
    say(service, text);
}

void service_stopping(const struct service *service)
{
    say(service, "STOPPING=1\nSTATUS=requests under way are finished");
}

void service_alive(const struct service *service)
{
    say(service, "WATCHDOG=1");
}
