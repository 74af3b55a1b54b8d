-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS sqx_migrated_embedding ON sqx_migrated USING hnsw (embedding vector_l2_ops);
