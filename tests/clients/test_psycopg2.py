"""psycopg2: simple protocol, execute_values, named cursors, copy_expert, and the parts of its errors."""
import io
import unittest

import numpy as np
import psycopg2
import psycopg2.errorcodes
import psycopg2.errors
import psycopg2.extras
from pgvector.psycopg2 import register_vector

import server


class Psycopg2(unittest.TestCase):
    def setUp(self):
        self.conn = psycopg2.connect(server.dsn())
        self.cur = self.conn.cursor()
        self.cur.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self.cur.execute("DROP TABLE IF EXISTS items2")
        self.cur.execute("CREATE TABLE items2 (id bigserial PRIMARY KEY, kind text NOT NULL, tags text[], about jsonb, "
                         "at timestamptz DEFAULT now(), embedding vector(3))")
        self.conn.commit()
        register_vector(self.conn)

    def tearDown(self):
        self.conn.rollback()
        self.cur.execute("DROP TABLE items2")
        self.conn.commit()
        self.conn.close()

    def fill(self, count=200):
        rows = [("ab"[i % 2], ["x", str(i)], psycopg2.extras.Json({"i": i}), np.array([i, 0, 1])) for i in range(count)]
        psycopg2.extras.execute_values(
            self.cur, "INSERT INTO items2 (kind, tags, about, embedding) VALUES %s", rows, page_size=64)
        self.conn.commit()

    def test_execute_values(self):
        got = psycopg2.extras.execute_values(
            self.cur, "INSERT INTO items2 (kind, embedding) VALUES %s RETURNING id",
            [("a", np.array([1, 2, 3])), ("b", None)], template="(%s, %s::vector)", fetch=True)
        self.assertEqual(got, [(1,), (2,)])
        psycopg2.extras.execute_values(
            self.cur, "UPDATE items2 SET kind = data.kind FROM (VALUES %s) AS data (id, kind) WHERE items2.id = data.id",
            [(1, "A"), (2, "B")])
        self.assertEqual(self.cur.rowcount, 2)
        self.cur.execute("SELECT kind FROM items2 ORDER BY id")
        self.assertEqual(self.cur.fetchall(), [("A",), ("B",)])

    def test_nearest_with_a_filter(self):
        self.fill()
        self.cur.execute("CREATE INDEX ON items2 USING hnsw (embedding vector_l2_ops)")
        query = np.array([51, 0, 1])
        self.cur.execute("SELECT id, tags, about, embedding FROM items2 WHERE kind = %s AND id > %s "
                         "ORDER BY embedding <-> %s LIMIT 3", ("a", 10, query))
        rows = self.cur.fetchall()
        self.assertEqual({row[0] for row in rows[:2]}, {51, 53})
        nearest = [row for row in rows if row[0] == 51][0]
        self.assertEqual(nearest[1:3], (["x", "50"], {"i": 50}))
        self.assertEqual(nearest[3].to_list(), [50, 0, 1])

    def test_named_cursors(self):
        self.fill()
        with self.conn.cursor("walk", cursor_factory=psycopg2.extras.RealDictCursor) as cur:
            cur.itersize = 30
            cur.execute("SELECT id, kind FROM items2 WHERE kind = %s ORDER BY id", ("b",))
            self.assertEqual(dict(cur.fetchone()), {"id": 2, "kind": "b"})
            self.assertEqual(len(cur.fetchmany(9)), 9)
            self.assertEqual(len(list(cur)), 90)

    def test_copy(self):
        self.cur.copy_expert("COPY items2 (kind, embedding) FROM STDIN", io.StringIO("a\t[1,2,3]\nb\t\\N\n"))
        self.assertEqual(self.cur.rowcount, 2)
        self.cur.copy_from(io.StringIO("c|[4,5,6]\n"), "items2", sep="|", columns=("kind", "embedding"))
        out = io.StringIO()
        self.cur.copy_expert("COPY (SELECT kind, embedding FROM items2 ORDER BY id) TO STDOUT WITH CSV HEADER", out)
        self.assertEqual(out.getvalue(), 'kind,embedding\na,"[1,2,3]"\nb,\nc,"[4,5,6]"\n')
        out = io.StringIO()
        self.cur.copy_to(out, "items2", columns=("kind",))
        self.assertEqual(out.getvalue(), "a\nb\nc\n")

    def test_transactions(self):
        with self.conn:
            self.cur.execute("INSERT INTO items2 (kind) VALUES ('kept')")
        with self.assertRaises(psycopg2.errors.NotNullViolation), self.conn:
            self.cur.execute("INSERT INTO items2 (kind) VALUES ('lost')")
            self.cur.execute("INSERT INTO items2 (kind) VALUES (NULL)")
        self.cur.execute("SAVEPOINT here")
        self.cur.execute("INSERT INTO items2 (kind) VALUES ('lost')")
        self.cur.execute("ROLLBACK TO SAVEPOINT here")
        self.cur.execute("SELECT kind FROM items2")
        self.assertEqual(self.cur.fetchall(), [("kept",)])
        self.conn.rollback()
        self.conn.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        with self.assertRaises(psycopg2.errors.ReadOnlySqlTransaction):
            self.cur.execute("INSERT INTO items2 (kind) VALUES ('x')")
        self.conn.rollback()
        self.conn.set_session(isolation_level="DEFAULT", readonly="DEFAULT")

    def test_errors(self):
        self.cur.execute("INSERT INTO items2 (id, kind) VALUES (7, 'a')")
        with self.assertRaises(psycopg2.errors.UniqueViolation) as caught:
            self.cur.execute("INSERT INTO items2 (id, kind) VALUES (7, 'b')")
        error = caught.exception
        self.assertEqual((error.pgcode, error.diag.constraint_name, error.diag.table_name),
                         (psycopg2.errorcodes.UNIQUE_VIOLATION, "items2_pkey", "items2"))
        self.assertEqual(error.diag.message_detail, "Key (id)=(7) already exists.")
        with self.assertRaises(psycopg2.errors.InFailedSqlTransaction):
            self.cur.execute("SELECT 1")

    def test_introspection(self):
        self.cur.execute("SELECT id, kind, tags, about, at, embedding FROM items2")
        codes = [column.type_code for column in self.cur.description]
        self.assertEqual(codes[:5], [20, 25, 1009, 3802, 1184])
        self.cur.execute("SELECT column_name, data_type, udt_name, is_nullable, column_default "
                         "FROM information_schema.columns WHERE table_name = 'items2' ORDER BY ordinal_position")
        self.assertEqual(self.cur.fetchall(), [
            ("id", "bigint", "int8", "NO", "nextval('items2_id_seq'::regclass)"), ("kind", "text", "text", "NO", None),
            ("tags", "ARRAY", "_text", "YES", None), ("about", "jsonb", "jsonb", "YES", None),
            ("at", "timestamp with time zone", "timestamptz", "YES", "now()"),
            ("embedding", "USER-DEFINED", "vector", "YES", None)])

    def test_client_encodings(self):
        for encoding, text in [("LATIN1", "grün"), ("WIN1252", "5 €"), ("KOI8R", "привет"), ("SJIS", "表示"), ("GB18030", "龍😀")]:
            self.conn.set_client_encoding(encoding)
            self.cur.execute("SELECT %s, length(%s), current_setting('client_encoding')", (text, text))
            self.assertEqual(self.cur.fetchone(), (text, len(text), encoding))
            out = io.BytesIO()
            self.cur.copy_expert(f"COPY (SELECT chr({ord(text[-1])})) TO STDOUT", out)
            self.assertEqual(out.getvalue(), text[-1].encode(psycopg2.extensions.encodings[encoding]) + b"\n")
        self.conn.set_client_encoding("LATIN1")
        with self.assertRaises(psycopg2.errors.UntranslatableCharacter):
            self.cur.execute("SELECT chr(8364)")
        self.conn.rollback()
        self.conn.set_client_encoding("UTF8")

    def test_batches(self):
        psycopg2.extras.execute_batch(self.cur, "INSERT INTO items2 (kind) VALUES (%s)", [(str(i),) for i in range(50)])
        self.cur.executemany("UPDATE items2 SET kind = %s WHERE id = %s", [("x", 1), ("y", 2)])
        self.cur.execute("SELECT count(*), max(kind) FROM items2")
        self.assertEqual(self.cur.fetchone(), (50, "y"))
        self.cur.execute("INSERT INTO items2 (kind) VALUES ('p'); SELECT count(*) FROM items2")
        self.assertEqual(self.cur.fetchone(), (51,))
        self.cur.execute("DELETE FROM items2 WHERE kind IN %s", (("p", "x"),))
        self.assertEqual(self.cur.rowcount, 2)


if __name__ == "__main__":
    unittest.main()
