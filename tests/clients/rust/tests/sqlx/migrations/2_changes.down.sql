DROP VIEW sqx_drafts;
ALTER TABLE sqx_migrated DROP COLUMN note, DROP COLUMN half;
ALTER TABLE sqx_migrated RENAME COLUMN since TO added;
