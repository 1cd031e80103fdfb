/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/redirect.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include "sandbox/netlink.h"

static const char table_name[] = "keybrake", chain_name[] = "out";

enum {
    DSTNAT = -100,
    V4_DESTINATION = 16, /* where it stands in the header */
    V6_DESTINATION = 24,
    DESTINATION_PORT = 2,
};

static void begin(struct netlink *out, uint8_t family, unsigned type, uint16_t flags)
{
    struct nfgenmsg head = {.nfgen_family = family, .version = NFNETLINK_V0};

    netlink_begin(out, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags | NLM_F_ACK, &head,
                  sizeof(head));
}

static void batch(struct netlink *out, uint16_t type)
{
    struct nfgenmsg head = {
        .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};

    netlink_begin(out, type, 0, &head, sizeof(head));
    netlink_end(out);
}

static void add_table(struct netlink *out, uint8_t family)
{
    begin(out, family, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netlink_add_text(out, NFTA_TABLE_NAME, table_name);
    netlink_end(out);
}

static void add_chain(struct netlink *out, uint8_t family)
{
    begin(out, family, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_add_text(out, NFTA_CHAIN_TABLE, table_name);
    netlink_add_text(out, NFTA_CHAIN_NAME, chain_name);
    size_t hook = netlink_open(out, NFTA_CHAIN_HOOK);
    netlink_add_be32(out, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    netlink_add_be32(out, NFTA_HOOK_PRIORITY, (uint32_t)DSTNAT);
    netlink_close(out, hook);
    netlink_add_text(out, NFTA_CHAIN_TYPE, "nat");
    netlink_end(out);
}

/* ---- rules: a list of expressions, each a name and its data ---- */

struct rule {
    struct netlink *out;
    size_t list, element, data;
};

static struct rule rule_begin(struct netlink *out, uint8_t family)
{
    begin(out, family, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netlink_add_text(out, NFTA_RULE_TABLE, table_name);
    netlink_add_text(out, NFTA_RULE_CHAIN, chain_name);
    return (struct rule){.out = out, .list = netlink_open(out, NFTA_RULE_EXPRESSIONS)};
}

static void rule_end(struct rule *rule)
{
    netlink_close(rule->out, rule->list);
    netlink_end(rule->out);
}

static void expression_begin(struct rule *rule, const char *name)
{
    rule->element = netlink_open(rule->out, NFTA_LIST_ELEM);
    netlink_add_text(rule->out, NFTA_EXPR_NAME, name);
    rule->data = netlink_open(rule->out, NFTA_EXPR_DATA);
}

static void expression_end(struct rule *rule)
{
    netlink_close(rule->out, rule->data);
    netlink_close(rule->out, rule->element);
}

static void add_value(struct rule *rule, uint16_t type, const void *value, size_t len)
{
    size_t at = netlink_open(rule->out, type);

    netlink_add(rule->out, NFTA_DATA_VALUE, value, len);
    netlink_close(rule->out, at);
}

static void equals(struct rule *rule, const void *value, size_t len)
{
    expression_begin(rule, "cmp");
    netlink_add_be32(rule->out, NFTA_CMP_SREG, NFT_REG_1);
    netlink_add_be32(rule->out, NFTA_CMP_OP, NFT_CMP_EQ);
    add_value(rule, NFTA_CMP_DATA, value, len);
    expression_end(rule);
}

static void payload_is(struct rule *rule, unsigned base, unsigned offset, const void *value,
                       size_t len)
{
    expression_begin(rule, "payload");
    netlink_add_be32(rule->out, NFTA_PAYLOAD_DREG, NFT_REG_1);
    netlink_add_be32(rule->out, NFTA_PAYLOAD_BASE, base);
    netlink_add_be32(rule->out, NFTA_PAYLOAD_OFFSET, offset);
    netlink_add_be32(rule->out, NFTA_PAYLOAD_LEN, (uint32_t)len);
    expression_end(rule);
    equals(rule, value, len);
}

static void protocol_is(struct rule *rule, uint8_t protocol)
{
    expression_begin(rule, "meta");
    netlink_add_be32(rule->out, NFTA_META_DREG, NFT_REG_1);
    netlink_add_be32(rule->out, NFTA_META_KEY, NFT_META_L4PROTO);
    expression_end(rule);
    equals(rule, &protocol, sizeof(protocol));
}

static void accept_it(struct rule *rule)
{
    expression_begin(rule, "immediate");
    netlink_add_be32(rule->out, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = netlink_open(rule->out, NFTA_IMMEDIATE_DATA);
    size_t verdict = netlink_open(rule->out, NFTA_DATA_VERDICT);
    netlink_add_be32(rule->out, NFTA_VERDICT_CODE, NF_ACCEPT);
    netlink_close(rule->out, verdict);
    netlink_close(rule->out, data);
    expression_end(rule);
}

static void redirect_to(struct rule *rule, uint16_t port)
{
    uint16_t in_network_order = htons(port);

    expression_begin(rule, "immediate");
    netlink_add_be32(rule->out, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    add_value(rule, NFTA_IMMEDIATE_DATA, &in_network_order, sizeof(in_network_order));
    expression_end(rule);
    expression_begin(rule, "redir");
    netlink_add_be32(rule->out, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    expression_end(rule);
}

static void leave_loopback_alone(struct netlink *out, uint8_t family)
{
    static const unsigned char loopback6[16] = {[15] = 1};
    static const unsigned char loopback4[] = {127}; /* the first byte says all */
    struct rule rule = rule_begin(out, family);

    if (family == NFPROTO_IPV4) {
        payload_is(&rule, NFT_PAYLOAD_NETWORK_HEADER, V4_DESTINATION, loopback4, sizeof(loopback4));
    } else {
        payload_is(&rule, NFT_PAYLOAD_NETWORK_HEADER, V6_DESTINATION, loopback6, sizeof(loopback6));
    }
    accept_it(&rule);
    rule_end(&rule);
}

static void redirect_port(struct netlink *out, uint8_t family, uint8_t protocol, uint16_t port)
{
    struct rule rule = rule_begin(out, family);
    uint16_t in_network_order = htons(port);

    protocol_is(&rule, protocol);
    payload_is(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, DESTINATION_PORT, &in_network_order,
               sizeof(in_network_order));
    redirect_to(&rule, port);
    rule_end(&rule);
}

static void redirect_rest(struct netlink *out, uint8_t family, uint16_t port)
{
    struct rule rule = rule_begin(out, family);

    protocol_is(&rule, IPPROTO_TCP);
    redirect_to(&rule, port);
    rule_end(&rule);
}

/* How many messages of it are acknowledged. */
static unsigned add_family(struct netlink *out, uint8_t family, uint16_t port, uint16_t names_port)
{
    add_table(out, family);
    add_chain(out, family);
    leave_loopback_alone(out, family);
    if (family == NFPROTO_IPV4) { /* who answers for names listens there only */
        redirect_port(out, family, IPPROTO_TCP, names_port);
        redirect_port(out, family, IPPROTO_UDP, names_port);
    }
    redirect_rest(out, family, port);
    return family == NFPROTO_IPV4 ? 6 : 4;
}

int redirect_all(uint16_t port4, uint16_t port6, uint16_t names_port, struct err *err)
{
    struct netlink out = {0};
    unsigned acks;

    batch(&out, NFNL_MSG_BATCH_BEGIN);
    acks = add_family(&out, NFPROTO_IPV4, port4, names_port);
    if (port6 != 0) {
        acks += add_family(&out, NFPROTO_IPV6, port6, names_port);
    }
    batch(&out, NFNL_MSG_BATCH_END);
    return netlink_talk(&out, NETLINK_NETFILTER, acks, "nf_tables", err);
}
