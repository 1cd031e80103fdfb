/* SPDX-License-Identifier: Apache-2.0 */
#include "os/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/test.h"

static int manager = -1;

static const char *heard(void)
{
    static char text[2048];
    ssize_t got = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[got < 0 ? 0 : got] = '\0';
    return text;
}

static void listen_at(struct sockaddr_un *address, socklen_t size)
{
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(manager >= 0 && bind(manager, (struct sockaddr *)address, size) == 0);
}

static void tell_everything(const struct service *service)
{
    service_ready(service, "two\nlines");
    CHECK(strcmp(heard(), "READY=1\nSTATUS=two lines") == 0);
    service_reloading(service);
    CHECK(strncmp(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    service_stopping(service);
    CHECK(strncmp(heard(), "STOPPING=1\n", 11) == 0);
    service_alive(service);
    CHECK(strcmp(heard(), "WATCHDOG=1") == 0);
}

static void test_an_abstract_name(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct service service;
    char name[64];

    (void)snprintf(name, sizeof(name), "@keybrake-service-test-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    listen_at(&address, (socklen_t)(sizeof(address.sun_family) + strlen(name)));
    (void)setenv("NOTIFY_SOCKET", name, 1);
    (void)setenv("WATCHDOG_USEC", "30000000", 1);
    service_find(&service);
    CHECK(service.watchdog_ms == 30000);
    CHECK(getenv("NOTIFY_SOCKET") == NULL && getenv("WATCHDOG_USEC") == NULL);
    tell_everything(&service);
    (void)close(manager);
    service_alive(&service); /* nobody hears it, and nothing happens */
}

static void test_a_path(void)
{
    char path[] = "/tmp/keybrake-service-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct service service;

    CHECK(mkdtemp(path) != NULL);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", path);
    listen_at(&address, sizeof(address));
    (void)setenv("NOTIFY_SOCKET", address.sun_path, 1);
    service_find(&service);
    CHECK(service.watchdog_ms == 0);
    tell_everything(&service);
    (void)close(manager);
    (void)unlink(address.sun_path);
    (void)rmdir(path);
}

static void test_nobody(void)
{
    static const char *const names[] = {"", "/", "@", "relative", "vsock:1:2"};
    struct service service;
    char huge[300];

    (void)setenv("WATCHDOG_USEC", "1000000", 1);
    service_find(&service);
    CHECK(service.size == 0 && service.watchdog_ms == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)setenv("NOTIFY_SOCKET", names[i], 1);
        service_find(&service);
        CHECK_CASE(service.size == 0, names[i]);
        service_ready(&service, "");
    }
    memset(huge, 'a', sizeof(huge) - 1);
    huge[0] = '/';
    huge[sizeof(huge) - 1] = '\0';
    (void)setenv("NOTIFY_SOCKET", huge, 1);
    service_find(&service);
    CHECK(service.size == 0);
}

int main(void)
{
    test_an_abstract_name();
    test_a_path();
    test_nobody();
    return test_done();
}
