/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: what it finds, line by line.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stddef.h>

enum { FINDINGS_MAX = 1024 };

enum finding_grade { GOOD, WEAKER, BROKEN };

struct finding {
    enum finding_grade grade;
    char subject[48];
    char says[256];
    const char *mend; /* NULL: nothing to do */
};

struct findings {
    struct finding all[FINDINGS_MAX];
    size_t count;
};

struct finding *doctor_find(struct findings *findings, enum finding_grade grade,
                            const char *subject, const char *mend);
void doctor_say(struct finding *one, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Which walls stand around each process of the server that runs on this data directory. */
void doctor_look_at_processes(struct findings *findings, const char *data_dir);

#endif
