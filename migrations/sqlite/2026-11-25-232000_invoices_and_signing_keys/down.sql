DROP TABLE signing_keys;
DROP TABLE invoice_lines;
DROP TABLE invoices;
DROP INDEX subscriptions_by_entitlement;
