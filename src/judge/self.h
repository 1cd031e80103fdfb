/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self: what a sandbox may ask keybrake itself, at the data door.
 *
 *     GET /_keybrake/v1/self           what am I allowed, what is left, until when
 *     DELETE /_keybrake/v1/keys/self   I am done: end this key
 */
#ifndef JUDGE_SELF_H
#define JUDGE_SELF_H

#include "judge/state.h"

bool self_is_for_us(struct str path);
void self_answer(struct request *request); /* answers, now or when the key has ended; frees it */

#endif
