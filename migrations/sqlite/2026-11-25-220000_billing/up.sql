-- The catalog, customers, payment methods, subscriptions, durable operations, idempotency, events.

-- One object at Stripe per thing of ours, account and mode: what makes "never double" a constraint.
DROP INDEX stripe_objects_by_portal;
CREATE UNIQUE INDEX stripe_objects_local_key
    ON stripe_objects (portal_id, kind, local_id, account_id, livemode);

-- nonce tells a product from one of the same name that is gone, in the names its plans have at Stripe.
CREATE TABLE products (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    product_version TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    nonce TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT products_pkey PRIMARY KEY (portal_id, id)
);

CREATE INDEX products_by_creation ON products (portal_id, created_at, id);

-- A withdrawn plan stays for its subscribers. stripe_* name the Product at Stripe, once there is one,
-- and what it was last told: its name, and whether it is archived.
CREATE TABLE plans (
    portal_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    id TEXT NOT NULL,
    place INTEGER NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    approval_required BOOLEAN NOT NULL,
    revision BIGINT NOT NULL,
    withdrawn_at BIGINT,
    stripe_account TEXT,
    stripe_livemode BOOLEAN,
    stripe_product TEXT,
    stripe_name TEXT,
    stripe_archived BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT plans_pkey PRIMARY KEY (portal_id, product_id, id),
    CONSTRAINT plans_product_fkey FOREIGN KEY (portal_id, product_id)
        REFERENCES products (portal_id, id) ON DELETE CASCADE
);

-- A price never changes in place: a changed pricing is a new revision with a Price of its own.
CREATE TABLE plan_revisions (
    portal_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    pricing TEXT NOT NULL,
    stripe_account TEXT,
    stripe_livemode BOOLEAN,
    stripe_price TEXT,
    stripe_archived BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT plan_revisions_pkey PRIMARY KEY (portal_id, product_id, plan_id, revision),
    CONSTRAINT plan_revisions_plan_fkey FOREIGN KEY (portal_id, product_id, plan_id)
        REFERENCES plans (portal_id, product_id, id) ON DELETE CASCADE
);

-- A consumer organization's billing record. stripe_* name its Customer in the account and mode last
-- used; the whole history is in stripe_objects. stripe_at is Stripe's time of what was last taken over.
CREATE TABLE customers (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    external_id TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT,
    tax_ids TEXT NOT NULL,
    metadata TEXT NOT NULL,
    default_payment_method TEXT,
    stripe_account TEXT,
    stripe_livemode BOOLEAN,
    stripe_id TEXT,
    stripe_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT customers_external_id_key UNIQUE (portal_id, external_id)
);

CREATE INDEX customers_by_creation ON customers (portal_id, created_at, id);

-- A card, bank debit or wallet by Stripe's id only; what is shown of a card is what Stripe shows.
CREATE TABLE payment_methods (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    method_type TEXT NOT NULL,
    state TEXT NOT NULL,
    card_brand TEXT,
    card_last4 TEXT,
    card_exp_month INTEGER,
    card_exp_year INTEGER,
    card_funding TEXT,
    card_country TEXT,
    stripe_account TEXT NOT NULL,
    stripe_livemode BOOLEAN NOT NULL,
    stripe_id TEXT NOT NULL,
    stripe_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX payment_methods_by_customer ON payment_methods (customer_id, created_at, id);

-- application is '' for a subscription without one. ended_at is set exactly in the final states.
-- unpaid_since is when the oldest unpaid renewal was due: grace counts from there. It is found from
-- dunning: Stripe's time when the subscription was last seen paid, and what was seen unpaid since
-- then, as '<paid> <begin>:<seen> …'. requested is what was asked for and is not sent yet.
CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    product_id TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    plan_revision BIGINT NOT NULL,
    application TEXT NOT NULL,
    status TEXT NOT NULL,
    paid BOOLEAN NOT NULL,
    quantity BIGINT NOT NULL,
    payment_method_id TEXT,
    period_start BIGINT,
    period_end BIGINT,
    trial_end BIGINT,
    cancel_at BIGINT,
    canceled_at BIGINT,
    ended_at BIGINT,
    unpaid_since BIGINT,
    dunning TEXT NOT NULL,
    latest_invoice TEXT,
    scheduled_change TEXT,
    requested TEXT,
    metadata TEXT NOT NULL,
    stripe_account TEXT,
    stripe_livemode BOOLEAN,
    stripe_id TEXT,
    stripe_item TEXT,
    stripe_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- One live subscription per customer, application and product.
CREATE UNIQUE INDEX subscriptions_live_key
    ON subscriptions (customer_id, product_id, application) WHERE ended_at IS NULL;

CREATE INDEX subscriptions_by_creation ON subscriptions (portal_id, created_at, id);
CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id, created_at, id);
CREATE INDEX subscriptions_by_plan ON subscriptions (portal_id, product_id, plan_id, created_at, id);
CREATE INDEX subscriptions_by_status ON subscriptions (portal_id, status, created_at, id);
CREATE INDEX subscriptions_by_application ON subscriptions (portal_id, application, created_at, id)
    WHERE application <> '';

-- What the consumer has to do to finish a subscription; the client secret in it is sealed.
CREATE TABLE subscription_actions (
    subscription_id TEXT NOT NULL PRIMARY KEY REFERENCES subscriptions (id) ON DELETE CASCADE,
    portal_id TEXT NOT NULL,
    action_type TEXT NOT NULL,
    url TEXT,
    sealed BLOB,
    data_key_version BIGINT,
    created_at BIGINT NOT NULL
);

-- Durable units of work that have to reach Stripe. lane names what they are serialized by, usually a
-- customer; lane_held is the lane while this operation has the turn. request is what the current step
-- sends, frozen; sent_at is when it was first sent under the current generation of its key.
CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    organization TEXT,
    lane TEXT NOT NULL,
    lane_held TEXT,
    status TEXT NOT NULL,
    step TEXT NOT NULL,
    steps_done INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    credentials_version BIGINT NOT NULL,
    stripe_account TEXT NOT NULL,
    stripe_livemode BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    request TEXT NOT NULL,
    key_generation INTEGER NOT NULL,
    sent_at BIGINT,
    uncertain BOOLEAN NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    error TEXT,
    actor TEXT NOT NULL,
    issuer TEXT NOT NULL,
    request_id TEXT NOT NULL,
    instance TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT
);

-- One operation of a lane at a time talks to Stripe.
CREATE UNIQUE INDEX operations_lane_key ON operations (portal_id, lane_held)
    WHERE lane_held IS NOT NULL;
CREATE INDEX operations_by_lane ON operations (portal_id, lane, id) WHERE status = 'running';
CREATE INDEX operations_due ON operations (next_attempt_at) WHERE status = 'running';
CREATE INDEX operations_by_creation ON operations (portal_id, created_at, id);
CREATE INDEX operations_by_subject ON operations (portal_id, subject, created_at, id);

-- Keys of callers' requests; the answer is sealed, since it may hold a client secret.
CREATE TABLE idempotency_keys (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    organization TEXT NOT NULL,
    route TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    operation_id TEXT,
    status INTEGER,
    headers TEXT,
    sealed BLOB,
    data_key_version BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (portal_id, organization, route, idempotency_key)
);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_operation ON idempotency_keys (operation_id)
    WHERE operation_id IS NOT NULL;

-- Facts this service publishes, one per change of a thing, in the transaction of the change. position
-- orders a portal's feed without a gap; seq is the version of the subject, so that it has none either.
CREATE TABLE events (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    subject TEXT NOT NULL,
    seq BIGINT NOT NULL,
    organization TEXT,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (portal_id, position),
    CONSTRAINT events_id_key UNIQUE (id),
    CONSTRAINT events_subject_key UNIQUE (portal_id, subject, seq)
);

CREATE TABLE event_heads (
    portal_id TEXT NOT NULL PRIMARY KEY REFERENCES portals (id) ON DELETE CASCADE,
    position BIGINT NOT NULL
);
