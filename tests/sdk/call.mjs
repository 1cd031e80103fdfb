// SPDX-License-Identifier: Apache-2.0
// One call by a vendor's own SDK, unmodified: reads {sdk, url, token, account} as JSON on stdin,
// prints {ok, value} or {ok: false, name, status, code, message} on stdout.
import { readFileSync } from "node:fs";

const asked = JSON.parse(readFileSync(0, "utf8"));
const url = new URL(asked.url);

const sdks = {
  // stripe-node can do no path prefix: it calls the host un-prefixed.
  async stripe() {
    const { default: Stripe } = await import("stripe");
    const stripe = new Stripe(asked.token, {
      host: url.hostname, port: url.port, protocol: url.protocol.slice(0, -1),
      telemetry: false,
    });
    const charge = await stripe.charges.create({ amount: 100, currency: "usd", source: "tok_visa" });
    return charge.id;
  },
  async twilio() {
    const { default: twilio } = await import("twilio");
    const client = twilio(asked.account, asked.token);
    client.api.baseUrl = `${asked.url}/twilio`;
    const message = await client.messages.create({ to: "+15005550006", from: "+15005550001", body: "hi" });
    return message.sid;
  },
  async resend() {
    process.env.RESEND_BASE_URL = `${asked.url}/resend`;
    const { Resend } = await import("resend");
    const { data, error } = await new Resend(asked.token).emails.send({
      from: "a@example.com", to: "b@example.com", subject: "hi", text: "hi",
    });
    if (error) {
      throw Object.assign(new Error(error.message), { name: error.name, status: error.statusCode });
    }
    return data.id;
  },
  async openai() {
    const { default: OpenAI } = await import("openai");
    const openai = new OpenAI({ apiKey: asked.token, baseURL: `${asked.url}/openai/v1` });
    const answer = await openai.chat.completions.create({
      model: "gpt-double", messages: [{ role: "user", content: "hi" }],
    });
    return answer.choices[0].message.content;
  },
  async openai_stream() {
    const { default: OpenAI } = await import("openai");
    const openai = new OpenAI({ apiKey: asked.token, baseURL: `${asked.url}/openai/v1` });
    let text = "";
    const stream = await openai.chat.completions.create({
      model: "gpt-double", stream: true, messages: [{ role: "user", content: "hi" }],
    });
    for await (const piece of stream) {
      text += piece.choices[0]?.delta?.content ?? "";
    }
    return text;
  },
  async anthropic() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const anthropic = new Anthropic({ apiKey: asked.token, baseURL: `${asked.url}/anthropic` });
    const message = await anthropic.messages.create({
      model: "claude-double", max_tokens: 16, messages: [{ role: "user", content: "hi" }],
    });
    return message.content[0].text;
  },
  async github() {
    const { Octokit } = await import("@octokit/rest");
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    const octokit = new Octokit({ auth: asked.token, baseUrl: `${asked.url}/github`, log: silent });
    const { data } = await octokit.rest.issues.create({ owner: "o", repo: "r", title: "hi" });
    return data.title;
  },
};

try {
  console.log(JSON.stringify({ ok: true, value: await sdks[asked.sdk]() }));
} catch (error) {
  console.log(JSON.stringify({
    ok: false, kind: error.constructor.name, name: error.name, status: error.status ?? error.statusCode,
    code: error.code ?? error.error?.code, message: error.message,
  }));
}
