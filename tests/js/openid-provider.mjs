// A real OpenID provider for the tests, on a free loopback port. It prints its address, then one line
// for each thing that it was told to do on standard input:
//   rotate       another key of each type signs from now on; the old ones stay published
//   retire       the old keys are no longer published
import { createServer } from 'node:http';
import { generateKeyPair, randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import Provider from 'oidc-provider';

const generate = promisify(generateKeyPair);
const audience = 'https://api.example';
const clients = ['alice', 'bob', 'nomail'].map((id) => ({
  client_id: id,
  client_secret: 'a secret of a test client',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
}));

async function freshKeys() {
  const types = [
    ['RS256', 'rsa', { modulusLength: 2048 }],
    ['ES256', 'ec', { namedCurve: 'P-256' }],
    ['EdDSA', 'ed25519', {}],
  ];
  return Promise.all(types.map(async ([alg, type, options]) => {
    const { privateKey } = await generate(type, options);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` };
  }));
}

function provider(issuer, keys) {
  const resource = (ctx) => ({
    audience,
    scope: '',
    accessTokenFormat: 'jwt',
    accessTokenTTL: 600,
    jwt: { sign: { alg: ctx.get('x-algorithm') || 'RS256' } },
  });
  return new Provider(issuer, {
    clients,
    jwks: { keys },
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: resource,
      },
    },
    extraTokenClaims: (ctx, token) => {
      const role = { app: { roles: 'driver' } };
      return token.clientId === 'nomail' ? role : { email: `${token.clientId}@example.com`, ...role };
    },
  });
}

let [current, old] = [await freshKeys(), []];
let callback;
const server = createServer((request, response) => callback(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const restart = () => {
    callback = provider(issuer, [...current, ...old]).callback();
  };
  restart();
  console.log(issuer);
  createInterface({ input: process.stdin }).on('line', async (line) => {
    if (line === 'rotate') [old, current] = [current, await freshKeys()];
    if (line === 'retire') old = [];
    restart();
    console.log('done');
  }).on('close', () => process.exit(0));
});
