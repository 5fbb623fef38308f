// The notification demo's route, as the contract describes it: plain mqtt.js with its defaults but for
// the login (the service user with a secret API key as its password) and five seconds to connect. It
// publishes once at QoS 1 and is done.
import mqtt from "mqtt";

const { broker, organization, key, topic, payload } = JSON.parse(process.argv[2]);
const tell = (event, fields) => console.log(JSON.stringify({ event, ...fields }));

try {
  const client = await mqtt.connectAsync(
    broker,
    { username: `server@${organization}`, password: key, connectTimeout: 5_000 },
    false,
  );
  await client.publishAsync(topic, payload, { qos: 1 });
  await client.endAsync();
  tell("done");
} catch ({ code, message }) {
  tell("failed", { code, message });
  process.exit();
}
