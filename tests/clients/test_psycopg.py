"""psycopg 3, with and without pgvector's adapter: text and binary, pipelines, server cursors, COPY, transactions."""
import datetime
import decimal
import unittest
import uuid

import numpy as np
import psycopg
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb

import server


class Psycopg(unittest.TestCase):
    def setUp(self):
        self.conn = psycopg.connect(server.dsn(), autocommit=True)
        self.conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self.conn.execute("DROP TABLE IF EXISTS items")
        self.conn.execute("CREATE TABLE items (id bigserial PRIMARY KEY, kind text, embedding vector(3))")
        register_vector(self.conn)

    def tearDown(self):
        self.conn.close()

    def test_vectors_go_both_ways(self):
        rows = [("a", np.array([1, 2, 3])), ("b", np.array([4, 5, 6])), ("a", None)]
        with self.conn.cursor() as cur:
            cur.executemany("INSERT INTO items (kind, embedding) VALUES (%s, %s)", rows)
        for binary in (False, True):
            got = self.conn.execute("SELECT id, embedding FROM items ORDER BY id", binary=binary).fetchall()
            self.assertEqual([row[0] for row in got], [1, 2, 3])
            self.assertEqual(got[1][1].to_list(), [4, 5, 6])
            self.assertIsNone(got[2][1])

    def test_nearest_neighbours_with_an_index_and_a_filter(self):
        with self.conn.cursor() as cur:
            with cur.copy("COPY items (kind, embedding) FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                for i in range(1000):
                    copy.write_row(["ten" if i % 10 == 0 else "other", np.array([i, i % 7, 1])])
        self.conn.execute("CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)")
        self.conn.execute("SET hnsw.ef_search = 100")
        query = np.array([500, 3, 1])
        for _ in range(7):  # psycopg prepares from the sixth time on
            got = self.conn.execute(
                "SELECT id, embedding <-> %s AS d FROM items WHERE kind = %s ORDER BY embedding <-> %s LIMIT 5",
                (query, "ten", query)).fetchall()
            self.assertEqual(len(got), 5)
            self.assertEqual([row[0] % 10 for row in got], [1] * 5)
            self.assertEqual(sorted(row[1] for row in got), [row[1] for row in got])

    def test_types(self):
        values = (
            True, 2, -(2**40), 1.5, decimal.Decimal("12.50"), "täxt", b"\x00\xff", datetime.date(2024, 2, 29),
            datetime.datetime(2024, 2, 29, 1, 2, 3, 500000),
            datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc), datetime.timedelta(days=2, hours=3),
            uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), [1, 2, None], ["a", "b c"], None)
        types = ("bool", "int4", "int8", "float8", "numeric", "text", "bytea", "date", "timestamp", "timestamptz",
                 "interval", "uuid", "int4[]", "text[]", "text")
        sql = "SELECT " + ", ".join(f"%s::{ty}" for ty in types)
        for binary in (False, True):
            got = self.conn.execute(sql, values, binary=binary).fetchone()
            self.assertEqual(got, values)
        got = self.conn.execute("SELECT %s::jsonb", (Jsonb({"b": [1, 2], "a": None}),)).fetchone()[0]
        self.assertEqual(got, {"b": [1, 2], "a": None})

    def test_transactions_and_own_writes(self):
        with psycopg.connect(server.dsn()) as conn:
            register_vector(conn)
            conn.execute("INSERT INTO items (kind, embedding) VALUES ('x', '[1,1,1]')")
            found = conn.execute("SELECT kind FROM items ORDER BY embedding <-> '[1,1,1]' LIMIT 1").fetchone()
            self.assertEqual(found, ("x",))
            conn.rollback()
            self.assertEqual(conn.execute("SELECT count(*) FROM items").fetchone(), (0,))
            with self.assertRaises(psycopg.errors.DivisionByZero):
                conn.execute("SELECT 1/0")
            with self.assertRaises(psycopg.errors.InFailedSqlTransaction):
                conn.execute("SELECT 1")
            conn.rollback()

    def test_pipeline(self):
        with self.conn.pipeline():
            cursors = [self.conn.execute("SELECT %s::int4 * 2", (i,)) for i in range(50)]
        self.assertEqual([cur.fetchone()[0] for cur in cursors], [i * 2 for i in range(50)])

    def test_streaming_and_copy_out(self):
        with self.conn.cursor() as cur:
            rows = list(cur.stream("SELECT i FROM generate_series(1, 5000) AS g(i)"))
        self.assertEqual(len(rows), 5000)
        with self.conn.cursor() as cur, cur.copy("COPY (SELECT 1 AS a, 'x' AS b) TO STDOUT") as copy:
            self.assertEqual([bytes(row) for row in copy], [b"1\tx\n"])

    def test_errors_have_sqlstates(self):
        for sql, error in [
            ("SELECT * FROM nowhere", psycopg.errors.UndefinedTable),
            ("INSERT INTO items (embedding) VALUES ('[1,2]')", psycopg.errors.DataException),
            ("SELECT '[1,nan,2]'::vector", psycopg.errors.DataError),
            ("SELEC", psycopg.errors.SyntaxError),
        ]:
            with self.assertRaises(error, msg=sql):
                self.conn.execute(sql)


if __name__ == "__main__":
    unittest.main()
