-- The last step of the compose stack's set-up, run by psql in the database that was just filled: the reader's password, from
-- the environment, and what the database is for.
\getenv password READER_PASSWORD
-- A statement that failed would stand in the log with the password in it.
SET log_min_error_statement = panic;
ALTER ROLE pgmcp_reader PASSWORD :'password';
COMMENT ON DATABASE :"DBNAME" IS 'A small online shop: users, products, orders';
