// Runs the stand-in for a test. The argument: its options. A line in: {"do": method, "with": its
// arguments}. A line out: an event. It ends with its input; and without that as soon as the client
// has nothing more to do, so that a client that has stopped for good is one that lets it end.
import { createInterface } from "node:readline";

import { PublishedClient } from "./published-client.mjs";

const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const client = new PublishedClient(JSON.parse(process.argv[2]), tell);
const orders = createInterface({ input: process.stdin });
let letGo = false;

orders.on("line", async (line) => {
  const order = JSON.parse(line);
  if (order.do === "let_go") {
    letGo = true;
    orders.close();
    process.stdin.unref();
    return;
  }
  try {
    const result = await client[order.do](...order.with);
    tell("done", { order: order.do, result });
  } catch ({ type, status, code, message }) {
    tell("failed", { order: order.do, type, status, code, message });
  }
});
orders.on("close", () => letGo || process.exit());
process.on("exit", () => tell("ended"));
