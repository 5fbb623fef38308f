// A double of EMQX 4.4 as far as logins go, for a broker that no package has: it asks as its HTTP plugin
// asks, and tells the client what EMQX would. 200 is a yes, a timeout, a 503 and no answer are "server
// unavailable", everything else is "not authorized". A line of input closes all connections.
import { createServer } from "node:net";
import packets from "mqtt-packet";

const { auth, secret } = JSON.parse(process.argv[2]);
const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const sockets = new Set();

async function ask({ clientId, username, password }) {
  const headers = { Authorization: `Bearer ${secret}` };
  const body = new URLSearchParams({ clientid: clientId, username, password: `${password}`, ipaddr: "127.0.0.1" });
  try {
    const { status } = await fetch(auth, { method: "POST", headers, body, signal: AbortSignal.timeout(3_000) });
    return status === 200 ? "yes" : status === 503 ? "unavailable" : "no";
  } catch {
    return "unavailable";
  }
}

const CODES = { yes: [0, 0], no: [5, 0x87], unavailable: [3, 0x88] };

const server = createServer((socket) => {
  const parser = packets.parser();
  let protocolVersion;
  const send = (packet) => socket.write(packets.generate(packet, { protocolVersion }));
  sockets.add(socket);
  socket.on("data", (bytes) => parser.parse(bytes));
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.destroy());
  parser.on("packet", async (packet) => {
    if (packet.cmd === "pingreq") send({ cmd: "pingresp" });
    if (packet.cmd !== "connect") return;
    protocolVersion = packet.protocolVersion;
    const verdict = await ask(packet);
    tell("asked", { verdict });
    const [returnCode, reasonCode] = CODES[verdict];
    send({ cmd: "connack", sessionPresent: false, returnCode, reasonCode });
    if (verdict !== "yes") socket.end();
  });
});
server.listen(0, "127.0.0.1", () => tell("listening", { port: server.address().port }));
process.stdin.on("data", () => sockets.forEach((socket) => socket.destroy()));
process.stdin.on("end", () => process.exit());
