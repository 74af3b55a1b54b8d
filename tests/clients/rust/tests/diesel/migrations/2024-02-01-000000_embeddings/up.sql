ALTER TABLE dsl_notes ADD COLUMN embedding VECTOR(3);
UPDATE dsl_notes SET embedding = ARRAY[id::int, 1, 2]::vector;
ALTER TABLE dsl_notes ALTER COLUMN embedding SET NOT NULL;
COMMENT ON TABLE dsl_notes IS 'what was thought';
COMMENT ON COLUMN dsl_notes.body IS 'in Markdown';
