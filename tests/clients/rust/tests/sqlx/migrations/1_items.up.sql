-- Several statements in one message, and a literal with a semicolon.
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE sqx_state AS ENUM ('draft', 'sold; gone');
CREATE TABLE sqx_migrated (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state sqx_state NOT NULL DEFAULT 'draft',
    embedding vector(3) NOT NULL,
    added timestamptz NOT NULL DEFAULT now()
);
INSERT INTO sqx_migrated (embedding) VALUES ('[1,2,3]'), ('[4,5,6]');
