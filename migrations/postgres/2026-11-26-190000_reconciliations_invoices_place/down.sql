ALTER TABLE reconciliations DROP COLUMN invoices_place;
