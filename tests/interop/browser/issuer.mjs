// An issuer of ID tokens (OpenID Connect): oidc-provider, for one client. Its one argument says, as JSON:
//   modules          where oidc-provider is
//   certificate, key of its server, PEM
//   address          where it listens
//   client, secret   who may ask
//   back             where browsers may be led back to
// Prints its URL when it listens. Whoever signs in says a name and is believed; some names are told
// otherwise than they should be, as only a faulty or hostile issuer would:
//   expired, audience, nonce, forged   what is wrong with the ID token
//   unverified, groupless              what it says of the person
//   denied                             is led back without a code
import { createServer } from "node:https";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const settings = JSON.parse(process.argv[2]);
const { default: Provider } = await import(join(settings.modules, "oidc-provider/lib/index.js"));
const { SignJWT, decodeJwt, importJWK } = await import(join(settings.modules, "jose/dist/node/esm/index.js"));

const key = () => ({ ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }), kid: "k", alg: "ES256", use: "sig" });
const [own, other] = [key(), key()];
const groups = { ann: ["staff", "relay-admins"], vic: ["staff"] };

const server = createServer({ cert: readFileSync(settings.certificate), key: readFileSync(settings.key) });
const [host, port] = settings.address.split(":");
await new Promise((listening) => server.listen(Number(port), host, listening));
const url = `https://${settings.address}`;

const provider = new Provider(url, {
  clients: [{
    client_id: settings.client,
    client_secret: settings.secret,
    redirect_uris: [settings.back],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    id_token_signed_response_alg: "ES256",
  }],
  jwks: { keys: [own] },
  cookies: { keys: ["of the tests"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@corp.test`, email_verified: id !== "unverified", groups: groups[id] ?? [] }),
  }),
  loadExistingGrant: async ({ oidc }) => {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});

// Who somebody says he is.
provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  if (context.method === "GET") {
    context.body = '<!doctype html><title>Issuer</title><form method="post"><input name="login"><button>Go</button></form>';
    return undefined;
  }
  let form = "";
  for await (const piece of context.req) form += piece;
  const login = new URLSearchParams(form).get("login");
  const result = login === "denied" ? { error: "access_denied", error_description: "<b>not</b> you" } : { login: { accountId: login } };
  return provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: false }).then(() => { context.respond = false; });
});

// What is told otherwise.
const changed = {
  expired: (claims) => ({ ...claims, iat: claims.iat - 7200, exp: claims.exp - 7200 }),
  audience: (claims) => ({ ...claims, aud: "another" }),
  nonce: (claims) => ({ ...claims, nonce: "another" }),
  forged: (claims) => claims,
};
provider.use(async (context, next) => {
  await next();
  const token = context.path === "/token" && context.body?.id_token;
  if (!token) return;
  const claims = decodeJwt(token);
  const change = changed[claims.sub];
  if (!change) return;
  const signing = await importJWK(claims.sub === "forged" ? other : own, "ES256");
  context.body = { ...context.body, id_token: await new SignJWT(change(claims)).setProtectedHeader({ alg: "ES256", kid: "k" }).sign(signing) };
});

server.on("request", provider.callback());
console.log(url);
