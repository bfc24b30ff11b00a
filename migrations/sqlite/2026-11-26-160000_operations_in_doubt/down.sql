DROP INDEX operations_in_doubt;
