// The demo's journey through the generated TypeScript client; see run.py.
//
// Each step is a function. A call that does not answer what it should ends the journey.

import assert from "node:assert/strict";

import { client } from "../../target/sdk/typescript/client/client.gen.ts";
import {
  auditLogList,
  credentialsDelete,
  credentialsGet,
  credentialsPut,
  credentialsVerify,
  portalDelete,
  portalGet,
  portalPatch,
  portalPut,
  serviceReadiness,
  stripeModuleGet,
  stripeModulePut,
  webhookEndpointRegister,
  type Problem,
} from "../../target/sdk/typescript/client/index.ts";

function setting(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

const path = { portal: setting("PORTAL") };
const keys = { publishable_key: "pk_test_simulator", secret_key: "sk_test_simulator" };
const token = setting("TOKEN");
client.setConfig({ baseUrl: setting("BASE_URL"), auth: () => token });

interface Answered<Data, Refusal> {
  data?: Data;
  error?: Refusal;
  response?: Response;
}

/** The body of an answer that has to have this status. */
function expect<Data, Refusal>(status: number, answer: Answered<Data, Refusal>): NonNullable<Data> {
  const { data, error, response } = answer;
  assert.equal(response?.status, status, JSON.stringify(error));
  assert(data !== undefined && data !== null);
  return data;
}

/** The problem of an answer that has to have this status. */
function expectProblem<Data>(status: number, answer: Answered<Data, Problem>): Problem {
  assert.equal(answer.response?.status, status);
  assert(answer.error);
  return answer.error;
}

const steps = {
  async "service is ready"() {
    const readiness = expect(200, await serviceReadiness());
    assert.equal(readiness.status, "ready");
  },

  async "portal is made and changed"() {
    const body = { title: "Acme developer portal", metadata: { team: "apis" } };
    const headers = { "If-None-Match": "*" };
    const portal = expect(201, await portalPut({ path, body, headers }));
    assert.equal(portal.id, path.portal);
    assert.deepEqual(portal.metadata, { team: "apis" });
    const refused = await portalPut({ path, body, headers });
    assert.equal(expectProblem(412, refused).code, "precondition_failed");
    const changes = { metadata: { team: null, region: "eu" } };
    const changed = await portalPatch({ path, body: changes });
    assert.deepEqual(expect(200, changed).metadata, { region: "eu" });
    const tag = changed.response?.headers.get("etag");
    assert(tag);
    const same = await portalGet({ path, headers: { "If-None-Match": tag } });
    assert.equal(same.response?.status, 304);
  },

  async "problem names the field"() {
    const problem = expectProblem(422, await portalPut({ path, body: { title: "" } }));
    assert.deepEqual(problem.errors?.map((error) => error.pointer), ["/title"]);
  },

  async "module is enabled"() {
    const settings = { grace_period_days: 5, on_unpaid: "allow" } as const;
    const module = expect(201, await stripeModulePut({ path, body: { enabled: true, settings } }));
    assert.equal(module.status, "unconfigured");
    assert(module.mode === null && module.account === null);
    assert.equal(module.settings.grace_period_days, 5);
    assert.equal(module.settings.on_unpaid, "allow");
    assert.equal(module.settings.proration, "create_prorations");
  },

  async "mistyped key is refused"() {
    const body = { ...keys, secret_key: "sk_test_mistyped" };
    const problem = expectProblem(424, await credentialsPut({ path, body }));
    assert.equal(problem.code, "stripe_credentials_invalid");
  },

  async "credentials are stored"() {
    const stored = expect(201, await credentialsPut({ path, body: keys }));
    assert(stored.mode === "test" && stored.secret_key.kind === "secret");
    assert.equal(stored.rotated_at, null);
    const verified = expect(200, await credentialsVerify({ path }));
    assert(verified.verification.accepted);
    const read = expect(200, await credentialsGet({ path }));
    assert.equal(read.id, stored.id);
    assert.deepEqual(read.versions.map((each) => each.version), [1]);
  },

  async "webhook endpoint is registered"() {
    const endpoint = expect(201, await webhookEndpointRegister({ path }));
    assert(endpoint.registered_at !== null && !endpoint.stripe.livemode);
  },

  async "portal is ready"() {
    const module = expect(200, await stripeModuleGet({ path }));
    assert(module.mode === "test" && module.account !== null);
    assert.deepEqual(module.checks.filter((check) => check.status === "fail"), []);
    assert.equal(module.status, "ready");
  },

  async "audit log is read page by page"() {
    const actions: string[] = [];
    let page = expect(200, await auditLogList({ path, query: { limit: 2 } }));
    for (;;) {
      actions.push(...page.data.map((entry) => entry.action));
      if (page.next_cursor === null) break;
      const query = { limit: 2, cursor: page.next_cursor };
      page = expect(200, await auditLogList({ path, query }));
    }
    assert.equal(actions.at(-1), "portal.created");
    assert(actions.includes("credentials.stored"));
  },

  async "everything is removed"() {
    assert.equal((await credentialsDelete({ path })).response?.status, 204);
    assert.equal((await portalDelete({ path })).response?.status, 204);
    assert.equal(expectProblem(404, await portalGet({ path })).code, "not_found");
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`  ${name}`);
}
