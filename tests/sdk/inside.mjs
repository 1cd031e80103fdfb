// SPDX-License-Identifier: Apache-2.0
// Runs inside `keybrake run`: one call by each vendor's own SDK, which knows the vendor's normal
// host name and the variable that it always reads, and nothing of keybrake.
const calls = {
  async stripe() {
    const { default: Stripe } = await import("stripe");
    const stripe = new Stripe(process.env.STRIPE_SECRET_KEY, { telemetry: false });
    return (await stripe.charges.create({ amount: 100, currency: "usd", source: "tok_visa" })).id;
  },
  async stripe_denied() {
    const { default: Stripe } = await import("stripe");
    const stripe = new Stripe(process.env.STRIPE_SECRET_KEY, { telemetry: false });
    return (await stripe.refunds.create({ charge: "ch_1" })).id;
  },
  async twilio() {
    const { default: twilio } = await import("twilio");
    const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);
    return (await client.messages.create({ to: "+15005550006", from: "+15005550001", body: "hi" })).sid;
  },
  async resend() {
    const { Resend } = await import("resend");
    const { data, error } = await new Resend(process.env.RESEND_API_KEY).emails.send({
      from: "a@example.com", to: "b@example.com", subject: "hi", text: "hi",
    });
    if (error) throw new Error(error.message);
    return data.id;
  },
  async openai() {
    const { default: OpenAI } = await import("openai");
    const answer = await new OpenAI().chat.completions.create({
      model: "gpt-double", messages: [{ role: "user", content: "hi" }],
    });
    return answer.choices[0].message.content;
  },
  async anthropic() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const message = await new Anthropic().messages.create({
      model: "claude-double", max_tokens: 16, messages: [{ role: "user", content: "hi" }],
    });
    return message.content[0].text;
  },
  async fetch() {
    const answer = await fetch("https://api.stripe.com/v1/balance", {
      headers: { Authorization: `Bearer ${process.env.STRIPE_SECRET_KEY}` } });
    return `${answer.status} ${(await answer.json()).object}`;
  },
  async fetch_denied() {
    const answer = await fetch("https://api.stripe.com/v1/refunds", {
      method: "POST", headers: { Authorization: `Bearer ${process.env.STRIPE_SECRET_KEY}` } });
    return `${answer.status} ${(await answer.json()).error.message}`;
  },
};

const said = {};
for (const name of process.argv.slice(2)) {
  try {
    said[name] = { ok: true, value: await calls[name]() };
  } catch (error) {
    said[name] = { ok: false, kind: error.constructor.name, message: error.message,
                   cause: error.cause?.code };
  }
}
console.log(JSON.stringify(said));
