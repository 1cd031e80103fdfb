/* SPDX-License-Identifier: Apache-2.0 */
/* audit verify | head: the chain, read from the database itself; no server need run */
#include "cli/commands.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "ledger/chain.h"
#include "store/query.h"
#include "store/verify.h"

const struct option audit_verify_options[] = {
    {"head", "HEAD", "and that it goes on from this head, noted down earlier", false, false},
    {"public-key", "HEX", "the vault's signing key, noted down earlier", false, false},
};
const size_t audit_verify_options_count =
    sizeof(audit_verify_options) / sizeof(audit_verify_options[0]);

enum { PROBLEMS_SHOWN = 20 };

static void show_problem(void *ctx, const struct verify_problem *problem)
{
    unsigned *shown = ctx;

    if (++*shown > PROBLEMS_SHOWN) {
        return;
    }
    (void)printf("row %" PRIu64 ": %s", problem->sequence, verify_kind_text(problem->kind));
    if (problem->last > problem->sequence) {
        (void)printf(" (to %" PRIu64 ")", problem->last);
    }
    (void)putchar('\n');
}

static void show_report(const struct verify_report *report)
{
    (void)printf("%" PRIu64 " rows, %" PRIu64 " good signed heads", report->rows, report->heads);
    if (report->last_signed > 0) {
        (void)printf(", the last at row %" PRIu64 " of %s", report->last_signed,
                     clock_rfc3339(report->last_signed_at_ms).text);
    }
    if (report->deleted > 0) {
        (void)printf(", %" PRIu64 " rows without their personal fields", report->deleted);
    }
    (void)printf("\n");
}

int run_audit_verify(const struct invocation *invocation)
{
    struct verify_options options = {.public_key =
                                         str_from(option_value(invocation, "public-key"))};
    struct verify_report report;
    struct err err = {""};
    unsigned shown = 0;

    if (option_given(invocation, "head")) {
        options.has_head = chain_parse_head(str_from(option_value(invocation, "head")),
                                            &options.head_sequence, &options.head);
        if (!options.has_head) {
            return say_usage(invocation,
                             "--head is SEQUENCE:HEX, as `keybrake audit head` says it");
        }
    }
    if (verify_audit(data_directory(invocation), &options, show_problem, &shown, &report, &err) <
        0) {
        return say_refused("%s", err.text);
    }
    show_report(&report);
    if (report.problems > 0) {
        return say_refused("the audit does not verify: %" PRIu64
                           " problems, the first at row %" PRIu64,
                           report.problems, report.first_problem.sequence);
    }
    (void)printf("verified: head %s\n", chain_head_text(report.last, &report.head).text);
    return EXIT_DONE;
}

int run_audit_head(const struct invocation *invocation)
{
    struct err err = {""};
    uint64_t sequence;
    struct digest head;
    struct query *query = query_open(data_directory(invocation), &err);
    int rc = EXIT_DONE;

    if (query == NULL || query_head(query, &sequence, &head, &err) < 0) {
        rc = say_refused("%s", err.text);
    } else {
        (void)puts(chain_head_text(sequence, &head).text);
    }
    query_close(query);
    return rc;
}
