// SPDX-License-Identifier: Apache-2.0
/* For SDKs on Node that make an agent of their own and so never see HTTPS_PROXY: stripe-node, the
 * AWS SDK.  Node 22.21 or later, 24.5 or later:
 *
 *     HTTPS_PROXY=http://keybrake:VAULT_KEY@HOST:8787 NODE_EXTRA_CA_CERTS=keybrake-ca.pem \
 *     NODE_USE_ENV_PROXY=1 NODE_OPTIONS=--require=/path/to/node-proxy.cjs node agent.js
 *
 * Every http.Agent and https.Agent that is made from here on obeys the proxy variables.  In a
 * sandbox of `keybrake run` nothing of this is needed. */
"use strict";

const { syncBuiltinESMExports } = require("node:module");

for (const library of [require("node:http"), require("node:https")]) {
  const Plain = library.Agent;
  library.Agent = class Agent extends Plain {
    constructor(options) {
      super({ proxyEnv: process.env, ...options });
    }
  };
  library.globalAgent = new library.Agent({ keepAlive: true, timeout: 5000 });
}
syncBuiltinESMExports();
