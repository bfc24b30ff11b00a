-- Comparisons with Stripe. phase and place say how far one has come; whoever holds the lease goes on from
-- there. sweep_slot is the time of the regular sweep it is, so that of two replicas one makes it.
-- methods_place is the customer after which the next sweep looks at payment methods. adopt is what is to be
-- taken over, as JSON.
CREATE TABLE reconciliations (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    repair BOOLEAN NOT NULL,
    sweep_slot BIGINT,
    status TEXT NOT NULL,
    phase TEXT NOT NULL,
    place TEXT NOT NULL,
    methods_place TEXT NOT NULL,
    adopt TEXT NOT NULL,
    stripe_account TEXT NOT NULL,
    stripe_livemode BOOLEAN NOT NULL,
    customers BIGINT NOT NULL,
    payment_methods BIGINT NOT NULL,
    subscriptions BIGINT NOT NULL,
    invoices BIGINT NOT NULL,
    foreign_objects BIGINT NOT NULL,
    drift BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
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

CREATE UNIQUE INDEX reconciliations_sweep_key ON reconciliations (portal_id, sweep_slot)
    WHERE sweep_slot IS NOT NULL;
CREATE INDEX reconciliations_by_creation ON reconciliations (portal_id, created_at, id);
CREATE INDEX reconciliations_due ON reconciliations (lease_until) WHERE status = 'running';

-- What a reconciliation has found, in the order it was found.
CREATE TABLE reconciliation_drift (
    reconciliation_id TEXT NOT NULL REFERENCES reconciliations (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT,
    stripe_id TEXT,
    drift TEXT NOT NULL,
    fields TEXT NOT NULL,
    repaired BOOLEAN NOT NULL,
    detail TEXT,
    CONSTRAINT reconciliation_drift_pkey PRIMARY KEY (reconciliation_id, place)
);

-- Which of the portal's objects Stripe's lists have shown while one runs; what they have not shown is asked
-- for one by one.
CREATE TABLE reconciliation_seen (
    reconciliation_id TEXT NOT NULL REFERENCES reconciliations (id) ON DELETE CASCADE,
    stripe_id TEXT NOT NULL,
    CONSTRAINT reconciliation_seen_pkey PRIMARY KEY (reconciliation_id, stripe_id)
);

-- The portal's objects of one kind in the order of our ids.
CREATE INDEX stripe_objects_by_kind ON stripe_objects (portal_id, account_id, livemode, kind, local_id);
