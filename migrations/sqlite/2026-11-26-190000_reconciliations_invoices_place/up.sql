-- The invoice after which the next sweep asks one by one for old ones that are not settled.
ALTER TABLE reconciliations ADD COLUMN invoices_place TEXT NOT NULL DEFAULT '';
