-- The inbox: Stripe's events, stored before they are acknowledged, and what became of each. One row per
-- event and portal. next_attempt_at is set exactly while something is still to be done: the status is
-- then parked or refetch. object_id is Stripe's id of what the event is about. The payload is kept,
-- sealed, only while something is to be done with it, dead letters included; Stripe has it for 30 days.
DROP TABLE stripe_events;

CREATE TABLE stripe_events (
    portal_id TEXT NOT NULL REFERENCES portals (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    api_version TEXT NOT NULL,
    object_id TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT,
    error TEXT,
    stripe_created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    sealed BYTEA,
    data_key_version BIGINT,
    CONSTRAINT stripe_events_pkey PRIMARY KEY (portal_id, event_id)
);

CREATE INDEX stripe_events_by_receipt ON stripe_events (portal_id, received_at, event_id);
CREATE INDEX stripe_events_due ON stripe_events (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX stripe_events_open ON stripe_events (portal_id, status, received_at, event_id)
    WHERE status IN ('parked', 'refetch', 'dead');
