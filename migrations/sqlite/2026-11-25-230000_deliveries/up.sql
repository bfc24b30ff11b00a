-- The event feed's filters; the portals' own webhook endpoints, their secrets and deliveries.

CREATE INDEX events_by_type ON events (portal_id, event_type, position);
CREATE INDEX events_by_organization ON events (portal_id, organization, position)
    WHERE organization IS NOT NULL;
CREATE INDEX events_by_creation ON events (portal_id, created_at);

-- position is how far the portal's feed has been turned into deliveries; not_before is until when the
-- receiver wants to be left alone. Neither they nor failing_since raise the version.
CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    description TEXT,
    metadata TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    disabled_reason TEXT,
    disabled_at BIGINT,
    position BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    failing_since BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX webhook_endpoints_by_creation ON webhook_endpoints (portal_id, created_at, id);

-- Generations of an endpoint's signing keys; sealed holds both, public_key is the pair's public half.
CREATE TABLE webhook_endpoint_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    data_key_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE INDEX webhook_endpoint_secrets_by_endpoint ON webhook_endpoint_secrets (endpoint_id);
CREATE INDEX webhook_endpoint_secrets_by_expiry ON webhook_endpoint_secrets (expires_at)
    WHERE expires_at IS NOT NULL;

-- One event on its way to one endpoint: written when its turn comes near, kept as the log. position is
-- the event's in the feed, by which deliveries of one subject follow each other.
CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    portal_id TEXT NOT NULL,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    subject TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    response_status INTEGER,
    reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT,
    CONSTRAINT webhook_deliveries_event_key UNIQUE (endpoint_id, position)
);

CREATE INDEX webhook_deliveries_by_subject ON webhook_deliveries (endpoint_id, subject, position)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_creation ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_end ON webhook_deliveries (finished_at)
    WHERE finished_at IS NOT NULL;
