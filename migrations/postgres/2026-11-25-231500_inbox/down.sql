DROP TABLE stripe_events;

CREATE TABLE stripe_events (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    api_version TEXT NOT NULL,
    stripe_created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    CONSTRAINT stripe_events_pkey PRIMARY KEY (portal_id, event_id)
);
