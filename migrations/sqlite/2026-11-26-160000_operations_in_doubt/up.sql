-- Operations that were given up without an answer of Stripe's: whoever comes next in their lane looks first.
CREATE INDEX operations_in_doubt ON operations (portal_id, lane, created_at) WHERE uncertain;
