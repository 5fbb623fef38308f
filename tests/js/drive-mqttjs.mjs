// Runs the mqtt.js code of docs/clients.md for a test. The argument: where everything is, a client id,
// a topic, and the identity tokens to use one after the other (the last one again and again).
import { connect } from "./ticketgate-client.mjs";

const { identityTokens, topic, ...where } = JSON.parse(process.argv[2]);
const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
let connections = 0;

const client = connect({
  ...where,
  connectTimeout: 5_000,
  identityToken: async () => {
    tell("identity_token");
    return identityTokens.length > 1 ? identityTokens.shift() : identityTokens[0];
  },
});
client.on("error", (error) => tell("error", { message: error.message, code: error.code }));
client.on("connect", async ({ sessionPresent }) => {
  connections += 1;
  tell("connected", { session_present: sessionPresent });
  await client.subscribeAsync(topic, { qos: 1 });
  await client.publishAsync(topic, `hello ${connections}`, { qos: 1 });
});
client.on("message", (_, payload) => tell("message", { payload: `${payload}` }));
// Stopping means that nothing is left to do: Node then ends by itself.
process.stdin.on("data", () => client.end());
process.stdin.on("end", () => process.exit());
process.stdin.on("data", () => process.stdin.unref());
process.on("exit", () => tell("ended"));
