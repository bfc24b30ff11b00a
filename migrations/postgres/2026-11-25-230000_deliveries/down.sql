DROP TABLE webhook_deliveries;
DROP TABLE webhook_endpoint_secrets;
DROP TABLE webhook_endpoints;
DROP INDEX events_by_creation;
DROP INDEX events_by_organization;
DROP INDEX events_by_type;
