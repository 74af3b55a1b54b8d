ALTER TABLE dsl_notes DROP COLUMN embedding;
