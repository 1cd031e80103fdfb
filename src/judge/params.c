/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/params.h"

#include <string.h>

#include "judge/book.h"
#include "judge/decide.h"
#include "judge/keys.h"
#include "pack/facts.h"
#include "policy/usd.h"

bool observe_relaxes(struct decision *decision, const struct key *key, enum verdict verdict)
{
    if (key->mode != MODE_OBSERVE || operation_class_is_guarded(decision->class)) {
        return false;
    }
    if (decision->observed == VERDICT_ALLOWED) {
        decision->observed = verdict;
    }
    return true;
}

static bool is_in(struct str value, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(list[i], value)) {
            return true;
        }
    }
    return false;
}

/* ---- accounts ---- */

/* Never relaxed: an account is somebody else's. */
static bool account_allowed(struct decision *decision, struct str account, struct str where)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules == NULL || !is_in(account, rules->policy.accounts, rules->policy.account_count)) {
            (void)refuse(decision, VERDICT_ACCOUNT_NOT_ALLOWED,
                         "%.*s names the account %.*s, which this key may not act for; its "
                         "params.accounts must list it",
                         STR_FMT(where), STR_FMT(str_slice(account, 0, 64)));
            return false;
        }
    }
    decision->account = account;
    return true;
}

/* " acct_1" and "Acct_1" may be trimmed and folded by the vendor. */
static bool names_account(const struct pack *pack, struct str value)
{
    struct str prefix = pack->account_prefix;

    value = str_trim(value);
    return prefix.len == 0 || str_equal_nocase(str_slice(value, 0, prefix.len), prefix);
}

static bool header_agrees(const struct message_header *header, struct str own,
                          struct decision *decision)
{
    if (str_equal(header->value, own)) {
        return true;
    }
    if (own.len == 0) {
        return account_allowed(decision, header->value, header->name);
    }
    (void)refuse(decision, VERDICT_ACCOUNT_NOT_ALLOWED,
                 "%.*s is not that of this vault key's credential; leave it out",
                 STR_FMT(header->name));
    return false;
}

bool params_credential_headers(struct judge *judge, const struct message_admit *admit,
                               struct decision *decision)
{
    const struct credential *credential = book_credential(judge, decision->credential);
    const struct pack *pack = decision->pack;

    for (size_t i = 0; i < admit->header_count; i++) {
        for (size_t k = 0; k < pack->set_header_count; k++) {
            const struct pack_set_header *set = &pack->set_headers[k];
            struct str own =
                credential == NULL ? STR_NONE : credential_field(credential, set->field);
            if (str_equal(admit->headers[i].name, set->name) &&
                !header_agrees(&admit->headers[i], own, decision)) {
                return false;
            }
        }
    }
    return true;
}

static bool accounts_in_query(const struct message_admit *admit, struct arena *arena,
                              struct decision *decision)
{
    const struct pack *pack = decision->pack;

    if (!admit->has_query || admit->query.len == 0) {
        return true;
    }
    for (size_t i = 0; i < pack->account_param_count; i++) {
        struct str value;
        bool twice = false;
        bool found =
            facts_query_value(admit->query, pack->account_params[i], arena, &value, &twice);
        if (twice) {
            (void)refuse(decision, VERDICT_BAD_REQUEST,
                         "the query names %.*s more than once, or cannot be read with certainty",
                         STR_FMT(pack->account_params[i]));
            return false;
        }
        if (found && names_account(pack, value) &&
            !account_allowed(decision, value, pack->account_params[i])) {
            return false;
        }
    }
    if (pack->account_param_count > 0 && facts_query_hides_account(pack, admit->query, arena)) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "the query cannot be read with certainty, or names an account in a place "
                     "that is not checked");
        return false;
    }
    return true;
}

bool params_accounts_in_head(const struct message_admit *admit, struct arena *arena,
                             struct decision *decision)
{
    for (size_t i = 0; i < admit->header_count; i++) {
        const struct message_header *header = &admit->headers[i];
        const struct pack_header *judged = pack_find_header(decision->pack, header->name);
        if (judged == NULL || judged->rule != HEADER_ACCOUNTS) {
            continue;
        }
        if (decision->account.len > 0 && !str_equal(decision->account, header->value)) {
            (void)refuse(decision, VERDICT_BAD_REQUEST, "two headers name different accounts");
            return false;
        }
        if (!account_allowed(decision, header->value, header->name)) {
            return false;
        }
    }
    return accounts_in_query(admit, arena, decision);
}

bool params_accounts_in_body(const struct message_facts *facts, struct decision *decision)
{
    const struct pack *pack = decision->pack;
    const struct pack_read *read = &decision->generation->config->reads[decision->read_rule];

    for (size_t i = facts->fact_count - read->account_count; i < facts->fact_count; i++) {
        const struct message_fact *fact = &facts->facts[i];
        if (fact->kind == FACT_ABSENT || fact->kind == FACT_NULL) {
            continue;
        }
        if (fact->kind == FACT_NESTED) {
            (void)refuse(decision, VERDICT_BAD_REQUEST, "%.*s is not a plain value",
                         STR_FMT(read->selectors[i].name));
            return false;
        }
        struct str account = decision->account;
        if (names_account(pack, fact->text) &&
            !account_allowed(decision, fact->text, read->selectors[i].name)) {
            return false;
        }
        if (account.len > 0) { /* the header's is where the request acts */
            decision->account = account;
        }
    }
    return true;
}

/* ---- the others ---- */

/* A value by the last part of its selector's name: "model" of "/model", "To" of "To". */
static const struct message_fact *fact_named(const struct decision *decision,
                                             const struct message_facts *facts, struct str name)
{
    if (facts == NULL) {
        return NULL;
    }
    const struct pack_read *read = &decision->generation->config->reads[decision->read_rule];
    for (size_t i = 0; i < read->selector_count; i++) {
        struct str last = read->selectors[i].name;
        enum selector_kind kind = read->selectors[i].kind;
        size_t slash;
        while ((slash = str_index(last, '/', 0)) < last.len) {
            last = str_slice(last, slash + 1, last.len);
        }
        if ((kind == SELECT_FORM || kind == SELECT_POINTER) && str_equal_nocase(last, name) &&
            facts->facts[i].kind != FACT_ABSENT && facts->facts[i].kind != FACT_NULL) {
            return &facts->facts[i];
        }
    }
    return NULL;
}

static bool starts_with_one(struct str value, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_starts(value, list[i])) {
            return true;
        }
    }
    return false;
}

/* "Anna <anna@mail.example.com>" -> mail.example.com.  Empty where two readers could find two
 * senders: more than one '@', or something beside the address that is not its name. */
static struct str domain_of(struct str text)
{
    struct str address = str_trim(text);
    size_t open = str_index(address, '<', 0);

    if (open < address.len) {
        if (!str_ends(address, STR(">")) || str_index(address, '@', 0) < open) {
            return STR_NONE;
        }
        address = str_slice(address, open + 1, address.len - 1);
    }
    size_t at = str_index(address, '@', 0);
    struct str domain = str_slice(address, at + 1, address.len);
    for (size_t i = 0; i < address.len; i++) {
        char c = address.data[i];
        if (c <= ' ' || c == 0x7f || (i != at && memchr("@<>(),;:\\\"[]", c, 12) != NULL)) {
            return STR_NONE;
        }
    }
    return at > 0 ? domain : STR_NONE;
}

struct rule_check {
    const struct message_admit *admit;
    const struct message_facts *facts;
    struct decision *decision;
    const struct policy *policy;
    struct arena *arena;
};

static bool no(struct rule_check *check, struct str name, struct str value)
{
    if (value.len == 0) {
        (void)refuse(check->decision, VERDICT_PARAM_NOT_ALLOWED,
                     "this key has a rule for %.*s, and the request does not say it in a place "
                     "where keybrake can check it",
                     STR_FMT(name));
    } else {
        (void)refuse(check->decision, VERDICT_PARAM_NOT_ALLOWED,
                     "%.*s %.*s is not allowed for this key", STR_FMT(name),
                     STR_FMT(str_slice(value, 0, 100)));
    }
    return false;
}

static bool amount_allowed(struct rule_check *check)
{
    const struct cost *cost = &check->decision->cost;
    const struct policy *policy = check->policy;

    if (!check->decision->costs) {
        return true;
    }
    if (policy->max_amount != MONEY_NONE && cost->nano > policy->max_amount) {
        (void)refuse(check->decision, VERDICT_PARAM_NOT_ALLOWED,
                     "the request moves $%s; this key may move $%s at most in one request",
                     usd_text(cost->nano).text, usd_text(policy->max_amount).text);
        return false;
    }
    struct str currency = cost->currency.len == 0 ? STR("usd") : cost->currency;
    return policy->currency_count == 0 ||
           is_in(currency, policy->currencies, policy->currency_count) ||
           no(check, STR("currency"), currency);
}

/* The customer that the path names: /v1/customers/{customer}/..., or the object of customers.update
 * itself. */
static struct str customer_in_path(const struct decision *decision)
{
    const struct pack_operation *operation = decision->match.operation;
    struct str named = match_param(&decision->match, STR("customer"));

    if (named.len > 0 || operation == NULL || !str_starts(operation->name, STR("customers."))) {
        return named;
    }
    return match_param(&decision->match, STR("id"));
}

/* What does something must name a customer of the list, wherever it names one; what only reads
 * must not name another. */
static bool customer_allowed(struct rule_check *check)
{
    const struct policy *policy = check->policy;
    const struct message_fact *fact = fact_named(check->decision, check->facts, STR("customer"));
    bool twice = false;
    struct str in_query = STR_NONE;
    struct str found[] = {fact == NULL ? STR_NONE : fact->text, customer_in_path(check->decision),
                          STR_NONE};
    size_t seen = 0;

    if (policy->customer_count == 0) {
        return true;
    }
    if (check->admit->query.len > 0 &&
        facts_query_value(check->admit->query, STR("customer"), check->arena, &in_query, &twice)) {
        found[2] = in_query;
    }
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
        if (found[i].len > 0 && !is_in(found[i], policy->customers, policy->customer_count)) {
            return no(check, STR("customer"), found[i]);
        }
        seen += found[i].len > 0;
    }
    bool read = check->decision->class == CLASS_READ && !check->decision->costs;
    return (seen > 0 || read) && !twice ? true : no(check, STR("customer"), STR_NONE);
}

/* Rules about whom a message goes to and what model works: where money is paid, what cannot be
 * seen is refused. */
static bool message_allowed(struct rule_check *check)
{
    const struct policy *policy = check->policy;
    const struct decision *decision = check->decision;
    const struct message_fact *to = fact_named(decision, check->facts, STR("to"));
    const struct message_fact *from = fact_named(decision, check->facts, STR("from"));
    const struct message_fact *model = fact_named(decision, check->facts, STR("model"));

    if (policy->to_prefix_count > 0 && (to != NULL || decision->class == CLASS_PAY) &&
        (to == NULL || !starts_with_one(to->text, policy->to_prefixes, policy->to_prefix_count))) {
        return no(check, STR("to"), to == NULL ? STR_NONE : to->text);
    }
    if (policy->from_domain_count > 0 && (from != NULL || decision->class == CLASS_PAY) &&
        (from == NULL ||
         !is_in(domain_of(from->text), policy->from_domains, policy->from_domain_count))) {
        return no(check, STR("from"), from == NULL ? STR_NONE : from->text);
    }
    if (policy->model_count > 0 && (model != NULL || decision->class != CLASS_READ) &&
        (model == NULL || !is_in(model->text, policy->models, policy->model_count))) {
        return no(check, STR("model"), model == NULL ? STR_NONE : model->text);
    }
    return true;
}

bool params_allow(const struct message_admit *admit, const struct message_facts *facts,
                  struct arena *arena, struct decision *decision)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules == NULL) {
            return false;
        }
        struct rule_check check = {.admit = admit,
                                   .facts = facts,
                                   .decision = decision,
                                   .policy = &rules->policy,
                                   .arena = arena};
        if ((!amount_allowed(&check) || !customer_allowed(&check) || !message_allowed(&check)) &&
            !observe_relaxes(decision, key, VERDICT_PARAM_NOT_ALLOWED)) {
            return false;
        }
    }
    return true;
}

bool params_need_body(struct key *key)
{
    for (; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules != NULL && rules->policy.customer_count + rules->policy.to_prefix_count +
                                     rules->policy.from_domain_count + rules->policy.model_count >
                                 0) {
            return true;
        }
    }
    return false;
}
