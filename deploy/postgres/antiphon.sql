-- The database `antiphon` with a login role and a schema for each service, which no other service can read.
--
-- Run by psql (14 or newer) as an administrator, as often as you like; the last run's passwords count:
--   AUTH_DATABASE_PASSWORD=... USER_DATABASE_PASSWORD=... psql --file deploy/postgres/antiphon.sql URL
-- The image of Postgres runs it once, when its data directory is empty. Tables are made by each service's own
-- `python -m antiphon_catalog migrate`.
\set ON_ERROR_STOP on

SELECT 'CREATE DATABASE antiphon ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'antiphon') \gexec
\connect antiphon
SET client_min_messages = warning;

REVOKE ALL ON DATABASE antiphon FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

\getenv auth AUTH_DATABASE_PASSWORD
\getenv user USER_DATABASE_PASSWORD
\getenv file FILE_DATABASE_PASSWORD
\getenv catalog CATALOG_DATABASE_PASSWORD
\getenv playlist PLAYLIST_DATABASE_PASSWORD
\getenv library LIBRARY_DATABASE_PASSWORD
\getenv stream STREAM_DATABASE_PASSWORD
\getenv search SEARCH_DATABASE_PASSWORD

-- A variable that is not set stays as it is written here, which is a syntax error: nobody gets an empty password.
CREATE TEMPORARY TABLE service AS
SELECT * FROM (
    VALUES
    ('auth', :'auth'), ('user', :'user'), ('file', :'file'), ('catalog', :'catalog'),
    ('playlist', :'playlist'), ('library', :'library'), ('stream', :'stream'), ('search', :'search')
) AS service (name, password);

SELECT format('CREATE ROLE %I', name) FROM service
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT
    format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD %L', name, password),
    format('GRANT CONNECT ON DATABASE antiphon TO %I', name),
    format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', name, name),
    format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', name),
    format('ALTER ROLE %I IN DATABASE antiphon SET search_path = %I', name, name)
FROM service ORDER BY name \gexec

DROP TABLE service;
