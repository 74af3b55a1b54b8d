-- From nothing to nearest neighbours: psql -h 127.0.0.1 -U postgres -f examples/quickstart.sql
CREATE EXTENSION IF NOT EXISTS vector;

DROP TABLE IF EXISTS products;
CREATE TABLE products (
    id        bigserial PRIMARY KEY,
    name      text NOT NULL,
    category  text,
    price     numeric(10,2),
    embedding vector(3)
);

INSERT INTO products (name, category, price, embedding) VALUES
    ('espresso machine', 'kitchen',  249.00, '[0.9, 0.1, 0.0]'),
    ('coffee grinder',   'kitchen',   89.50, '[0.8, 0.2, 0.1]'),
    ('tea kettle',       'kitchen',   39.00, '[0.7, 0.1, 0.3]'),
    ('desk lamp',        'office',    25.00, '[0.1, 0.9, 0.2]'),
    ('office chair',     'office',   199.00, '[0.0, 0.8, 0.4]'),
    ('trail shoes',      'outdoor',  120.00, '[0.1, 0.2, 0.9]');

CREATE INDEX ON products USING hnsw (embedding vector_cosine_ops);

-- The nearest three.
SELECT name, round((embedding <=> '[0.85, 0.15, 0.05]')::numeric, 4) AS distance
FROM products ORDER BY embedding <=> '[0.85, 0.15, 0.05]' LIMIT 3;

-- The nearest three that are in the kitchen and affordable: two such rows exist, and two come back.
SELECT name, price FROM products
WHERE category = 'kitchen' AND price < 100
ORDER BY embedding <=> '[0.85, 0.15, 0.05]' LIMIT 3;

-- A transaction sees its own rows, and nobody sees them after ROLLBACK.
BEGIN;
INSERT INTO products (name, category, price, embedding) VALUES ('moka pot', 'kitchen', 30, '[0.85, 0.15, 0.05]');
SELECT name FROM products ORDER BY embedding <=> '[0.85, 0.15, 0.05]' LIMIT 1;
ROLLBACK;
SELECT name FROM products ORDER BY embedding <=> '[0.85, 0.15, 0.05]' LIMIT 1;

-- How an answer was found.
EXPLAIN ANALYZE SELECT name FROM products WHERE category = 'kitchen' ORDER BY embedding <=> '[1, 0, 0]' LIMIT 3;
