// SPDX-License-Identifier: Apache-2.0
// A list of calls by stripe-node, unmodified: reads {url, token, steps} as JSON on stdin, prints the
// results as a JSON array on stdout, "ERROR NAME" in place of one that threw.  "$0.id" in an
// argument is the id of the first result.
import { readFileSync } from "node:fs";
import Stripe from "stripe";

const asked = JSON.parse(readFileSync(0, "utf8"));
const url = new URL(asked.url);
const stripe = new Stripe(asked.token, {
  host: url.hostname, port: url.port, protocol: url.protocol.slice(0, -1), telemetry: false,
});
const results = [];

function filled(value) {
  if (typeof value === "string" && value.startsWith("$")) {
    const [index, name] = value.slice(1).split(".");
    return results[Number(index)][name];
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, filled(v)]));
  }
  return value;
}

for (const [resource, method, ...args] of asked.steps) {
  try {
    results.push(await stripe[resource][method](...args.map(filled)));
  } catch (error) {
    results.push(`ERROR ${error.constructor.name}`);
  }
}
console.log(JSON.stringify(results));
