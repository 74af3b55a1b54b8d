CREATE INDEX CONCURRENTLY dsl_notes_embedding ON dsl_notes USING hnsw (embedding vector_cosine_ops);
