ALTER TABLE sqx_migrated ADD COLUMN note text NOT NULL DEFAULT 'none', ADD COLUMN half halfvec(3);
UPDATE sqx_migrated SET half = embedding::halfvec;
ALTER TABLE sqx_migrated ALTER COLUMN half SET NOT NULL, ALTER COLUMN note DROP DEFAULT;
ALTER TABLE sqx_migrated RENAME COLUMN added TO since;
ALTER TABLE sqx_migrated ADD CONSTRAINT sqx_note_is_short CHECK (length(note) < 50);
CREATE VIEW sqx_drafts AS SELECT id, note FROM sqx_migrated WHERE state = 'draft';
