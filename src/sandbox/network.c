/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/netlink.h"
#include "sandbox/redirect.h"

enum { LOOPBACK_INDEX = 1, NAMES_PORT = 53 };

static int raise_loopback(struct err *err)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);

    if (rc < 0) {
        (void)err_errno(err, "cannot bring the sandbox's loopback up");
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* local 0.0.0.0/0 (::/0) dev lo: every address is ours. */
static int claim_every_address(int family, struct err *err)
{
    struct netlink out = {0};
    struct rtmsg route = {
        .rtm_family = (unsigned char)family,
        .rtm_table = RT_TABLE_LOCAL,
        .rtm_protocol = RTPROT_BOOT,
        .rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_LOCAL,
    };

    netlink_begin(&out, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &route, sizeof(route));
    netlink_add_u32(&out, RTA_OIF, LOOPBACK_INDEX);
    netlink_end(&out);
    return netlink_talk(&out, NETLINK_ROUTE, 1, "route", err);
}

struct place {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size;
};

static struct place loopback(int family, uint16_t port)
{
    struct place place = {.size = sizeof(struct sockaddr_in)};

    if (family == AF_INET6) {
        place.address.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        place.size = sizeof(struct sockaddr_in6);
    } else {
        place.address.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                                .sin_port = htons(port),
                                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    }
    return place;
}

static struct place everywhere(int family, uint16_t port)
{
    struct place place = loopback(family, port);

    if (family == AF_INET6) {
        place.address.v6.sin6_addr = (struct in6_addr)IN6ADDR_ANY_INIT;
    } else {
        place.address.v4.sin_addr.s_addr = htonl(INADDR_ANY);
    }
    return place;
}

/* Never SO_REUSEPORT: a program of the same user could then take a share of the connections. */
static int open_socket(const struct place *place, int type)
{
    int one = 1;
    int fd = socket(place->address.any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    if (place->address.any.sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(fd, &place->address.any, place->size) < 0 ||
        (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)) {
        int problem = errno;
        (void)close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct place place = {.size = sizeof(place.address)};

    if (getsockname(fd, &place.address.any, &place.size) < 0) {
        return 0;
    }
    return ntohs(place.address.any.sa_family == AF_INET6 ? place.address.v6.sin6_port
                                                         : place.address.v4.sin_port);
}

static int add_capture(struct network *network, const struct place *place, struct err *err)
{
    int fd = network->capture_count < NETWORK_CAPTURES_MAX ? open_socket(place, SOCK_STREAM) : -1;

    if (fd < 0) {
        return err_errno(err, "cannot listen inside the sandbox");
    }
    network->captures[network->capture_count++] = fd;
    return 0;
}

/* One socket for each family, on a port of its own, and everything sent there. */
static int capture_all(struct network *network, bool with_v6, struct err *err)
{
    struct place v4 = loopback(AF_INET, 0), v6 = loopback(AF_INET6, 0);

    if (add_capture(network, &v4, err) < 0 || (with_v6 && add_capture(network, &v6, err) < 0)) {
        return -1;
    }
    uint16_t port4 = port_of(network->captures[0]);
    uint16_t port6 = with_v6 ? port_of(network->captures[1]) : 0;
    return redirect_all(port4, port6, NAMES_PORT, err);
}

static void drop_captures(struct network *network)
{
    for (size_t i = 0; i < network->capture_count; i++) {
        (void)close(network->captures[i]);
    }
    network->capture_count = 0;
}

static int capture_ports(struct network *network, bool with_v6, const uint16_t *ports, size_t count,
                         struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct place v4 = everywhere(AF_INET, ports[i]), v6 = everywhere(AF_INET6, ports[i]);
        if (add_capture(network, &v4, err) < 0 || (with_v6 && add_capture(network, &v6, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int open_names(struct network *network, struct err *err)
{
    struct place place = loopback(AF_INET, NAMES_PORT);

    network->names_udp = open_socket(&place, SOCK_DGRAM);
    network->names_tcp = open_socket(&place, SOCK_STREAM);
    if (network->names_udp < 0 || network->names_tcp < 0) {
        return err_errno(err, "cannot answer name look-ups inside the sandbox");
    }
    return 0;
}

static int fill(struct network *network, bool may_redirect, const uint16_t *ports,
                size_t port_count, struct err *err)
{
    struct err ignored;
    struct err no_redirect;

    if (raise_loopback(err) < 0 || claim_every_address(AF_INET, err) < 0) {
        return -1;
    }
    /* A kernel without IPv6 has nothing that could leave by it. */
    bool with_v6 = claim_every_address(AF_INET6, &ignored) == 0;
    if (open_names(network, err) < 0) {
        return -1;
    }
    if (may_redirect && capture_all(network, with_v6, &no_redirect) == 0) {
        network->redirect = true;
        return 0;
    }
    drop_captures(network);
    return capture_ports(network, with_v6, ports, port_count, err);
}

int network_make(struct network *network, bool may_redirect, const uint16_t *ports,
                 size_t port_count, struct err *err)
{
    *network = (struct network){.names_udp = -1, .names_tcp = -1};
    int rc = fill(network, may_redirect, ports, port_count, err);
    if (rc < 0) {
        network_close(network);
    }
    return rc;
}

void network_close(struct network *network)
{
    drop_captures(network);
    if (network->names_udp >= 0) {
        (void)close(network->names_udp);
    }
    if (network->names_tcp >= 0) {
        (void)close(network->names_tcp);
    }
    network->names_udp = network->names_tcp = -1;
}
