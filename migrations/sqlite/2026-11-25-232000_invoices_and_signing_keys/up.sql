-- Invoices as Stripe shows them, the keys that sign access tokens, and the index of access by customer.

CREATE INDEX subscriptions_by_entitlement
    ON subscriptions (customer_id, product_id, application, created_at, id);

-- stripe_at is Stripe's time of what was last taken over. Amounts are in the currency's minor unit.
-- action_attempt is the attempt at which the bank wanted to see who pays.
CREATE TABLE invoices (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    customer_id TEXT NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    subscription_id TEXT REFERENCES subscriptions (id) ON DELETE CASCADE,
    number TEXT,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    currency TEXT NOT NULL,
    subtotal BIGINT NOT NULL,
    total BIGINT NOT NULL,
    amount_due BIGINT NOT NULL,
    amount_paid BIGINT NOT NULL,
    period_start BIGINT,
    period_end BIGINT,
    due_at BIGINT,
    next_attempt_at BIGINT,
    attempt_count BIGINT NOT NULL,
    hosted_url TEXT,
    pdf_url TEXT,
    action_attempt BIGINT,
    stripe_account TEXT NOT NULL,
    stripe_livemode BOOLEAN NOT NULL,
    stripe_id TEXT NOT NULL,
    stripe_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- One row per invoice at Stripe.
CREATE UNIQUE INDEX invoices_stripe_key ON invoices (stripe_id, stripe_account, stripe_livemode);
CREATE INDEX invoices_by_creation ON invoices (portal_id, created_at, id);
CREATE INDEX invoices_by_status ON invoices (portal_id, status, created_at, id);
CREATE INDEX invoices_by_customer ON invoices (customer_id, created_at, id);
CREATE INDEX invoices_by_subscription ON invoices (subscription_id, created_at, id)
    WHERE subscription_id IS NOT NULL;

CREATE TABLE invoice_lines (
    invoice_id TEXT NOT NULL REFERENCES invoices (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    description TEXT NOT NULL,
    amount BIGINT NOT NULL,
    quantity BIGINT,
    unit_amount_decimal TEXT,
    period_start BIGINT,
    period_end BIGINT,
    proration BOOLEAN NOT NULL,
    CONSTRAINT invoice_lines_pkey PRIMARY KEY (invoice_id, place)
);

-- Ed25519 keys of this service, sealed under the master key; public_jwk is in clear.
CREATE TABLE signing_keys (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed BLOB NOT NULL,
    master_key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    activated_at BIGINT,
    retired_at BIGINT
);

-- One key signs, one is next: of two replicas that make one, one succeeds.
CREATE UNIQUE INDEX signing_keys_state_key ON signing_keys (state) WHERE state <> 'retired';
