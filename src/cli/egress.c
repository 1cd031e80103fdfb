/* SPDX-License-Identifier: Apache-2.0 */
/* egress nft | docker | k8s: rules that leave a sandbox of your own no way out but keybrake */
#include "cli/commands.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

const struct option egress_options[] = {
    {"to", "ADDRESS:PORT", "keybrake's door, as the sandbox reaches it", false, true},
    {"interface", "NAME",
     "nft: the bridge or veth on which the sandbox's packets come in; without "
     "it the rules are for inside the sandbox's own network namespace",
     false, false},
    {"name", "NAME", "of the docker network, or of the policy (default: keybrake)", false, false},
    {"selector", "KEY=VALUE", "k8s: the label of the sandbox's pods (default: sandbox=agent)",
     false, false},
};
const size_t egress_options_count = sizeof(egress_options) / sizeof(egress_options[0]);

enum { BRIDGE_NAME_MAX = 12 }; /* of an interface 15, and "br-" */

struct egress {
    char address[64];
    unsigned port;
    bool v6;
    const char *interface, *name, *selector;
};

static bool is_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (!ascii_is_alpha(*c) && !ascii_is_digit(*c) && strchr("_.-/=", *c) == NULL) {
            return false;
        }
    }
    return text[0] != '\0' && strlen(text) < 64;
}

static int take(const struct invocation *invocation, struct egress *egress, struct err *err)
{
    const char *to = option_value(invocation, "to");
    const char *colon = strrchr(to, ':');
    unsigned char bytes[16];
    uint64_t port;

    egress->interface = option_value(invocation, "interface");
    egress->name = option_value(invocation, "name");
    egress->selector = option_value(invocation, "selector");
    if (colon == NULL || !str_to_u64(str_from(colon + 1), &port) || port == 0 || port > 65535 ||
        (size_t)(colon - to) >= sizeof(egress->address)) {
        return err_set(err, "--to is ADDRESS:PORT, such as 172.30.0.1:8787 or [fd00::1]:8787");
    }
    bool brackets = to[0] == '[' && colon > to + 1 && colon[-1] == ']';
    size_t from = brackets ? 1 : 0, len = (size_t)(colon - to) - (brackets ? 2 : 0);
    memcpy(egress->address, to + from, len);
    egress->address[len] = '\0';
    egress->port = (unsigned)port;
    egress->v6 = inet_pton(AF_INET6, egress->address, bytes) == 1;
    if (!egress->v6 && inet_pton(AF_INET, egress->address, bytes) != 1) {
        return err_set(err, "'%s' is not an address: packets have no names", egress->address);
    }
    if ((egress->interface != NULL && !is_word(egress->interface)) ||
        (egress->name != NULL && !is_word(egress->name)) ||
        (egress->selector != NULL &&
         (!is_word(egress->selector) || strchr(egress->selector, '=') == NULL))) {
        return err_set(err, "a name has letters, digits and _.- only; a selector is KEY=VALUE");
    }
    egress->name = egress->name == NULL ? "keybrake" : egress->name;
    egress->selector = egress->selector == NULL ? "sandbox=agent" : egress->selector;
    return 0;
}

static void print_to_door(const struct egress *egress, const char *before)
{
    (void)printf("        %s%s daddr %s tcp dport %u accept\n", before, egress->v6 ? "ip6" : "ip",
                 egress->address, egress->port);
}

/* In the sandbox's own namespace: what its processes send. */
static void print_inside(const struct egress *egress)
{
    (void)printf(
        "# keybrake egress nft: in the sandbox's network namespace (its lo must be up, or\n"
        "# what is refused waits instead).  Load with:\n"
        "#   nsenter --net=/run/netns/NAME nft -f FILE\n"
        "table inet %s {\n"
        "    chain out {\n"
        "        type filter hook output priority 0; policy drop;\n"
        "        oifname \"lo\" accept\n"
        "        ct state established,related accept\n",
        egress->name);
    print_to_door(egress, "");
    (void)printf("        # refused at once, so that nothing waits for a time-out\n"
                 "        reject with icmpx admin-prohibited\n"
                 "    }\n"
                 "}\n");
}

/* On the machine: what comes in from the sandbox, to us (input) and through us (forward). */
static void print_on_bridge(const struct egress *egress)
{
    static const char *const hooks[] = {"input", "forward"};
    char before[96];

    (void)printf(
        "# keybrake egress nft: on the machine.  `docker network create --internal` alone\n"
        "# leaves the machine's own services reachable; the input chain closes that.\n"
        "# Load with: nft -f FILE\n"
        "table inet %s {\n",
        egress->name);
    (void)snprintf(before, sizeof(before), "iifname \"%s\" ", egress->interface);
    for (size_t i = 0; i < 2; i++) {
        (void)printf("    chain %s {\n"
                     "        type filter hook %s priority -10; policy accept;\n"
                     "        iifname \"%s\" ct state established,related accept\n",
                     hooks[i], hooks[i], egress->interface);
        if (i == 0) {
            print_to_door(egress, before);
            (void)printf("        iifname \"%s\" icmpv6 type { nd-neighbor-solicit, "
                         "nd-neighbor-advert } accept\n",
                         egress->interface);
        }
        (void)printf("        iifname \"%s\" meta l4proto tcp reject with tcp reset\n"
                     "        iifname \"%s\" reject with icmpx admin-prohibited\n"
                     "    }\n",
                     egress->interface, egress->interface);
    }
    (void)printf("}\n");
}

static int egress_with(const struct invocation *invocation,
                       void (*print)(const struct egress *egress))
{
    struct egress egress = {.port = 0};
    struct err err = {""};

    if (take(invocation, &egress, &err) < 0) {
        return say_usage(invocation, "%s", err.text);
    }
    print(&egress);
    return EXIT_DONE;
}

static void print_nft(const struct egress *egress)
{
    if (egress->interface == NULL) {
        print_inside(egress);
    } else {
        print_on_bridge(egress);
    }
}

/* The network that an address of ours is in, when we choose it: 172.30.0.1 -> 172.30.0.0/24. */
static void print_subnet(const struct egress *egress)
{
    unsigned char bytes[16] = {0};
    char text[INET6_ADDRSTRLEN] = "";
    int family = egress->v6 ? AF_INET6 : AF_INET;

    (void)inet_pton(family, egress->address, bytes);
    memset(bytes + (egress->v6 ? 8 : 3), 0, egress->v6 ? 8 : 1);
    (void)inet_ntop(family, bytes, text, sizeof(text));
    (void)printf("%s/%d", text, egress->v6 ? 64 : 24);
}

static void print_docker(const struct egress *egress)
{
    (void)printf("# keybrake egress docker.  The strict form has no network at all:\n"
                 "#   docker run --network none ...   and   keybrake attach --container ID\n"
                 "#\n"
                 "# A network with one way out, the door %s:%u, which is the machine's address on\n"
                 "# it: start `keybrake serve --listen` there when the network is made.  Docker's\n"
                 "# --dns 127.0.0.1: no names from inside, which would be a way out too.\n"
                 "docker network create --internal --opt com.docker.network.bridge.name=br-%s \\\n"
                 "    %s--subnet ",
                 egress->address, egress->port, egress->name, egress->v6 ? "--ipv6 " : "");
    print_subnet(egress);
    (void)printf(" --gateway %s %s\n"
                 "keybrake egress nft --to %s%s%s:%u --interface br-%s --name %s | nft -f -\n"
                 "docker run --network %s --dns 127.0.0.1 --cap-drop ALL \\\n"
                 "    --security-opt no-new-privileges --env-file ENV IMAGE\n",
                 egress->address, egress->name, egress->v6 ? "[" : "", egress->address,
                 egress->v6 ? "]" : "", egress->port, egress->name, egress->name, egress->name);
}

static void print_k8s(const struct egress *egress)
{
    struct str value = str_from(egress->selector);
    struct str key = str_take_until(&value, '=');

    (void)printf(
        "# keybrake egress k8s.  A NetworkPolicy does nothing where the network plugin does\n"
        "# not enforce it: try one refused connection before you rely on it.\n"
        "apiVersion: networking.k8s.io/v1\n"
        "kind: NetworkPolicy\n"
        "metadata:\n"
        "  name: %s\n"
        "spec:\n"
        "  podSelector:\n"
        "    matchLabels:\n"
        "      \"%.*s\": \"%.*s\"\n"
        "  policyTypes: [\"Ingress\", \"Egress\"]\n"
        "  ingress: []\n"
        "  egress:\n"
        "    - to:\n"
        "        - ipBlock:\n"
        "            cidr: \"%s/%d\"\n"
        "      ports:\n"
        "        - protocol: TCP\n"
        "          port: %u\n",
        egress->name, STR_FMT(key), STR_FMT(value), egress->address, egress->v6 ? 128 : 32,
        egress->port);
}

int run_egress_nft(const struct invocation *invocation)
{
    return egress_with(invocation, print_nft);
}

int run_egress_docker(const struct invocation *invocation)
{
    const char *name = option_value(invocation, "name");

    if (name != NULL && strlen(name) > BRIDGE_NAME_MAX) {
        return say_usage(invocation, "--name is at most %d letters: the bridge is called br-NAME",
                         BRIDGE_NAME_MAX);
    }
    return egress_with(invocation, print_docker);
}

int run_egress_k8s(const struct invocation *invocation)
{
    return egress_with(invocation, print_k8s);
}
