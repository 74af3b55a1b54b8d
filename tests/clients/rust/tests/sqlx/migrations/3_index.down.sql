DROP INDEX IF EXISTS sqx_migrated_embedding;
