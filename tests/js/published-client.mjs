// A stand-in for the published JavaScript SDK, written from the contract's description of it: which
// requests it sends, what it reads of the answers, when it refreshes, and how it treats MQTT. Its
// timers can be shortened; nothing else is milder than in the original.
import mqtt from "mqtt";

// CONNACK codes that end the client for good: MQTT 3.1.1 and MQTT 5.
const AUTH_ERRORS = [4, 5, 134, 135];

export class TokenError extends Error {
  constructor(type, message, status) {
    super(message);
    Object.assign(this, { type, status });
  }
}

export class PublishedClient {
  #options;
  #tell;
  #token;
  #timer;
  #retries = 0;
  #refreshes = 0;

  // `tell(event, fields)` hears everything that the original reports through its callbacks.
  constructor(options, tell) {
    this.#options = {
      protocolVersion: 5,
      maxRefreshRetries: 3,
      refreshRetryDelay: 5_000,
      reconnectPeriod: 1_000,
      // What the tests shorten: no refresh waits longer, whatever `refresh_recommended_at` says.
      longestTimer: Infinity,
      ...options,
    };
    this.#tell = tell;
  }

  async connectWithToken({ host, organizationId, externalToken, secretKey, userEmail, integrationId }) {
    if (!this.#options.tokenServiceUrl) throw new Error("Token service URL not configured");
    if (externalToken) await this.exchange(organizationId, externalToken, integrationId);
    else if (secretKey && userEmail) await this.create(organizationId, secretKey, userEmail, integrationId);
    else throw new Error("Either externalToken or (secretKey + userEmail) required");
    // A token that is over by this clock gives no credentials, and the next line a TypeError.
    const { username, password } = this.#credentials();
    await this.#connect(host, username, password);
  }

  async exchange(organization_id, token, integration_id) {
    const body = { organization_id, token, integration_id };
    this.#store(await this.#request("POST", "/v2/tokens/exchange", body));
  }

  async create(organization_id, secret_key, user_email, integration_id) {
    const body = { organization_id, secret_key, user_email, integration_id, replace_existing: true };
    this.#store(await this.#request("POST", "/v2/tokens/create", body));
  }

  async providers(organization_id) {
    return (await this.#request("GET", `/v2/providers?organization_id=${organization_id}`)).providers;
  }

  subscribe(topic) {
    return this.mqtt.subscribeAsync(topic, { qos: 1 });
  }

  publish(topic, payload) {
    return this.mqtt.publishAsync(topic, payload, { qos: 1 });
  }

  end() {
    clearTimeout(this.#timer);
    return this.mqtt?.endAsync();
  }

  async #request(method, path, body) {
    // The URL is joined as it is. No Authorization header, ever.
    const url = `${this.#options.tokenServiceUrl}${path}`;
    const headers = { "Content-Type": "application/json" };
    let response, answer;
    try {
      response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
      answer = await response.json();
    } catch (error) {
      throw new TokenError("NETWORK_ERROR", String(error));
    }
    if (response.ok) return answer;
    const text = answer.error_description ?? answer.detail ?? "Request failed";
    throw new TokenError(errorType(response.status, answer.error), String(text), response.status);
  }

  #store(answer) {
    const { token_id, access_token, mqtt_credentials, expires_at, refresh_recommended_at } = answer;
    const { username, password } = mqtt_credentials;
    const { user_email, provider } = answer;
    const [end, refresh] = [new Date(expires_at), new Date(refresh_recommended_at)];
    this.#token = { token_id, access_token, username, password, end };
    this.#tell("token", { token_id, username, user_email, provider, expires_at, refresh_recommended_at });
    this.#schedule(Math.min(refresh - Date.now(), this.#options.longestTimer));
  }

  #credentials() {
    return this.#token.end > Date.now() ? this.#token : null;
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refresh(), Math.max(delay, 0));
  }

  async #refresh() {
    const { token_id, access_token } = this.#token;
    const body = { token_id, current_token_password: access_token };
    try {
      this.#store(await this.#request("POST", "/v2/tokens/refresh", body));
    } catch (error) {
      this.#tell("refresh_failed", { type: error.type, message: error.message });
      // Tried again whatever it was, and given up after that.
      if (this.#retries++ < this.#options.maxRefreshRetries) {
        this.#schedule(this.#options.refreshRetryDelay);
      } else {
        this.#tell("state", { state: "error" });
        this.#tell("token_error", { type: "REFRESH_FAILED" });
      }
      return;
    }
    this.#retries = 0;
    this.#refreshes += 1;
    this.#tell("refreshed", { times: this.#refreshes });
  }

  // The first password stays in mqtt.js's options: a refresh does not reach it.
  #connect(host, username, password) {
    return new Promise((resolve, reject) => {
      const { protocolVersion, reconnectPeriod } = this.#options;
      const clientId = `cs_${Math.random().toString(36).slice(2, 10).padEnd(8, "0")}`;
      const login = { clientId, username, password };
      const how = { protocolVersion, reconnectPeriod, clean: false, keepalive: 30 };
      this.mqtt = mqtt.connect(host, { ...login, ...how });
      this.mqtt.on("connect", (packet) => {
        this.#tell("connected", { session_present: packet.sessionPresent });
        resolve();
      });
      this.mqtt.on("reconnect", () => this.#tell("reconnecting"));
      this.mqtt.on("close", () => this.#tell("closed"));
      this.mqtt.on("message", (topic, payload) => this.#tell("message", { topic, payload: `${payload}` }));
      this.mqtt.on("error", (error) => {
        reject(error);
        if (!AUTH_ERRORS.includes(error.code)) return;
        this.mqtt.end(true);
        this.#tell("auth_error", { code: error.code });
        this.#tell("state", { state: "error" });
      });
    });
  }
}

function errorType(status, error) {
  if (status === 401) return error === "token_expired" ? "TOKEN_EXPIRED" : "AUTH_FAILED";
  if (status === 404) return error === "provider_not_found" ? "PROVIDER_NOT_FOUND" : "ORG_NOT_FOUND";
  return status === 429 ? "RATE_LIMITED" : "INVALID_RESPONSE";
}
