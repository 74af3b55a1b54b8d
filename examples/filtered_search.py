#!/usr/bin/env python3
"""Filtered nearest neighbours with psycopg and pgvector's Python package: filtered_search.py postgres://...

The filter never costs rows: a LIMIT of 5 gives 5 rows as long as 5 match.
"""
import sys

import numpy as np
import psycopg
from pgvector.psycopg import register_vector

DIMENSIONS = 64


def main(url):
    random = np.random.default_rng(1)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(conn)
        conn.execute("DROP TABLE IF EXISTS documents")
        conn.execute(f"CREATE TABLE documents (id int8 PRIMARY KEY, tenant int4, embedding vector({DIMENSIONS}))")
        with conn.cursor() as cur, cur.copy("COPY documents FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int4", "vector"])
            for id in range(5000):
                copy.write_row([id, id % 100, random.standard_normal(DIMENSIONS, dtype=np.float32)])
        conn.execute("CREATE INDEX ON documents USING hnsw (embedding vector_l2_ops)")

        query = random.standard_normal(DIMENSIONS, dtype=np.float32)
        for where in ["", "WHERE tenant = 7", "WHERE tenant BETWEEN 10 AND 40", "WHERE tenant = 7 AND id < 300"]:
            rows = conn.execute(
                f"SELECT id, tenant, embedding <-> %s AS distance FROM documents {where} "
                "ORDER BY embedding <-> %s LIMIT 5", (query, query)).fetchall()
            print(where or "(no filter)")
            for id, tenant, distance in rows:
                print(f"  {id:5} tenant {tenant:3} at {distance:.3f}")


main(sys.argv[1] if len(sys.argv) > 1 else "postgres://postgres@127.0.0.1:5432/postgres")
