-- Portals, the Stripe module, credentials, audit. Columns are Text, BigInt, Integer, Bool and Binary
-- only; times are milliseconds since the Unix epoch; JSON is Text.

CREATE TABLE portals (
    id TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The data key that seals a portal's secrets, wrapped by a master key. Gone with the portal, so that
-- whatever is left of its secrets in backups cannot be opened.
CREATE TABLE portal_keys (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    master_key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    rewrapped_at BIGINT,
    CONSTRAINT portal_keys_pkey PRIMARY KEY (portal_id, version)
);

-- rotate-keys finds what is still under an old master key.
CREATE INDEX portal_keys_by_master_key ON portal_keys (master_key_id, portal_id, version);

CREATE TABLE stripe_modules (
    portal_id TEXT NOT NULL PRIMARY KEY REFERENCES portals (id) ON DELETE CASCADE,
    enabled BOOLEAN NOT NULL,
    grace_period_days INTEGER NOT NULL,
    on_unpaid TEXT NOT NULL,
    proration TEXT NOT NULL,
    one_trial_per_customer BOOLEAN NOT NULL,
    allowed_return_origins TEXT NOT NULL,
    hook TEXT NOT NULL,
    last_webhook_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT stripe_modules_hook_key UNIQUE (hook)
);

-- Every version of a portal's credentials. The current one has no superseded_at. A superseded one
-- keeps its sealed key until retired_at, so that work begun with it can end with it.
CREATE TABLE stripe_credentials (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    account_id TEXT NOT NULL,
    livemode BOOLEAN NOT NULL,
    publishable_key TEXT NOT NULL,
    secret_kind TEXT NOT NULL,
    secret_last_four TEXT NOT NULL,
    secret_fingerprint TEXT NOT NULL,
    secret_sealed BLOB,
    data_key_version BIGINT NOT NULL,
    verification TEXT NOT NULL,
    verified_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    superseded_at BIGINT,
    retire_at BIGINT,
    CONSTRAINT stripe_credentials_version_key UNIQUE (portal_id, version)
);

-- At most one current version per portal.
CREATE UNIQUE INDEX stripe_credentials_current_key ON stripe_credentials (portal_id)
    WHERE superseded_at IS NULL;

CREATE INDEX stripe_credentials_by_retirement ON stripe_credentials (retire_at)
    WHERE secret_sealed IS NOT NULL AND retire_at IS NOT NULL;

-- Signing secrets of Stripe's deliveries; several may be valid at once during a rotation.
CREATE TABLE stripe_webhook_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    endpoint_id TEXT,
    last_four TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    sealed BLOB NOT NULL,
    data_key_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE INDEX stripe_webhook_secrets_by_portal ON stripe_webhook_secrets (portal_id, created_at);

CREATE INDEX stripe_webhook_secrets_by_expiry ON stripe_webhook_secrets (expires_at)
    WHERE expires_at IS NOT NULL;

-- The webhook endpoint registered at Stripe for a portal. attempt_key is the idempotency key of the
-- creation under way; it outlives a crash, so that repeating the call finds the same endpoint.
CREATE TABLE stripe_webhook_endpoints (
    portal_id TEXT NOT NULL PRIMARY KEY REFERENCES portals (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL,
    livemode BOOLEAN NOT NULL,
    url TEXT NOT NULL,
    api_version TEXT NOT NULL,
    endpoint_id TEXT,
    attempt_key TEXT,
    attempted_at BIGINT,
    registered_at BIGINT
);

-- Which objects at Stripe belong to which portal. What stands here binds the portal to its account
-- and mode.
CREATE TABLE stripe_objects (
    account_id TEXT NOT NULL,
    livemode BOOLEAN NOT NULL,
    stripe_id TEXT NOT NULL,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    local_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT stripe_objects_pkey PRIMARY KEY (account_id, livemode, stripe_id)
);

CREATE INDEX stripe_objects_by_portal ON stripe_objects (portal_id, kind, local_id);

-- Stripe's deliveries, stored before they are acknowledged. One row per event and portal.
CREATE TABLE stripe_events (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    api_version TEXT NOT NULL,
    stripe_created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    payload BLOB NOT NULL,
    CONSTRAINT stripe_events_pkey PRIMARY KEY (portal_id, event_id)
);

-- The audit log outlives its portal: no foreign key, nothing here is ever updated or deleted.
CREATE TABLE audit_entries (
    portal_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    issuer TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    request_id TEXT NOT NULL,
    details TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT audit_entries_pkey PRIMARY KEY (portal_id, seq),
    CONSTRAINT audit_entries_id_key UNIQUE (id)
);

CREATE TABLE audit_heads (
    portal_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
