/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_alloc: jansson with memory that is overwritten when it is freed, since a credential's PUT
 * passes through its trees.  Once, before the first document.
 */
#ifndef CONTROL_JSON_ALLOC_H
#define CONTROL_JSON_ALLOC_H

void json_alloc_setup(void);
void json_alloc_free(void *text); /* what json_dumps() gave; takes NULL too */

#endif
