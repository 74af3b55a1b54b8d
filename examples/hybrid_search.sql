-- Hybrid search: a keyword query and a vector query, combined by Reciprocal Rank Fusion.
-- The query is that of pgvector-python's examples/hybrid_search/rrf.py; embeddings have three dimensions here.
--   psql -h 127.0.0.1 -U postgres -f examples/hybrid_search.sql

CREATE EXTENSION IF NOT EXISTS vector;
DROP TABLE IF EXISTS documents;
CREATE TABLE documents (id bigserial PRIMARY KEY, content text, search tsvector, embedding vector(3));
CREATE INDEX ON documents USING gin (search);
CREATE INDEX ON documents USING hnsw (embedding vector_cosine_ops);

INSERT INTO documents (content, search, embedding)
SELECT content, to_tsvector('english', content), embedding
FROM (VALUES ('The dog is barking', '[1,0.2,0]'::vector),
             ('The cat is purring', '[0.9,0.4,0.1]'),
             ('The bear is growling', '[0.3,1,0.2]')) AS d (content, embedding);

-- What the query of keywords finds, best first.
SELECT id, ts_headline('english', content, query), ts_rank_cd(search, query)
FROM documents, plainto_tsquery('english', 'growling bear') query
WHERE search @@ query
ORDER BY ts_rank_cd(search, query) DESC;

-- Nearest neighbours among the rows that match, by both indexes.
SELECT id, content FROM documents
WHERE search @@ to_tsquery('english', 'dog | cat')
ORDER BY embedding <=> '[0.3,0.9,0.1]' LIMIT 2;

WITH semantic_search AS (
    SELECT id, RANK () OVER (ORDER BY embedding <=> '[0.3,0.9,0.1]') AS rank
    FROM documents
    ORDER BY embedding <=> '[0.3,0.9,0.1]'
    LIMIT 20
),
keyword_search AS (
    SELECT id, RANK () OVER (ORDER BY ts_rank_cd(to_tsvector('english', content), query) DESC)
    FROM documents, plainto_tsquery('english', 'growling bear') query
    WHERE to_tsvector('english', content) @@ query
    ORDER BY ts_rank_cd(to_tsvector('english', content), query) DESC
    LIMIT 20
)
SELECT
    COALESCE(semantic_search.id, keyword_search.id) AS id,
    COALESCE(1.0 / (60 + semantic_search.rank), 0.0) +
    COALESCE(1.0 / (60 + keyword_search.rank), 0.0) AS score
FROM semantic_search
FULL OUTER JOIN keyword_search ON semantic_search.id = keyword_search.id
ORDER BY score DESC
LIMIT 5;
