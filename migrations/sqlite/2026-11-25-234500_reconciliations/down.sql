DROP INDEX stripe_objects_by_kind;
DROP TABLE reconciliation_seen;
DROP TABLE reconciliation_drift;
DROP TABLE reconciliations;
