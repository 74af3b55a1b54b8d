CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE dsl_authors (
    id SERIAL PRIMARY KEY,
    name VARCHAR(80) NOT NULL
);
CREATE TABLE dsl_notes (
    id BIGSERIAL PRIMARY KEY,
    author_id INTEGER NOT NULL REFERENCES dsl_authors (id) ON DELETE CASCADE,
    body TEXT NOT NULL DEFAULT 'nothing; yet'
);
INSERT INTO dsl_authors (name) VALUES ('Ada'), ('Grace');
INSERT INTO dsl_notes (author_id) SELECT id FROM dsl_authors;
