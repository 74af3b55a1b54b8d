"""pg8000, in pure Python: its DB-API and its native interface; vectors travel as text."""
import datetime
import decimal
import unittest
import uuid

import numpy as np
import pg8000.dbapi
import pg8000.native
from pgvector.pg8000 import register_vector

import server


class Native(unittest.TestCase):
    def setUp(self):
        self.conn = pg8000.native.Connection(**server.address())
        self.conn.run("CREATE EXTENSION IF NOT EXISTS vector")
        self.conn.run("DROP TABLE IF EXISTS items8")
        self.conn.run("CREATE TABLE items8 (id bigserial PRIMARY KEY, kind text, embedding vector(3))")
        register_vector(self.conn)

    def tearDown(self):
        self.conn.run("DROP TABLE items8")
        self.conn.close()

    def test_a_tour(self):
        run = self.conn.run
        for i in range(50):
            run("INSERT INTO items8 (kind, embedding) VALUES (:kind, :embedding)", kind="ab"[i % 2],
                embedding=np.array([i, 0, 0]))
        rows = run("SELECT id, embedding FROM items8 WHERE kind = :kind ORDER BY embedding <-> :query LIMIT 2",
                   kind="a", query=np.array([3.5, 0, 0]))
        self.assertEqual([row[0] for row in rows], [5, 3])
        self.assertEqual(rows[0][1].to_list(), [4, 0, 0])
        self.assertEqual([column["name"] for column in self.conn.columns], ["id", "embedding"])
        run("UPDATE items8 SET kind = 'c' WHERE id = 1")
        self.assertEqual(self.conn.row_count, 1)
        run("START TRANSACTION")
        run("DELETE FROM items8")
        run("ROLLBACK")
        self.assertEqual(run("SELECT count(*) FROM items8"), [[50]])

    def test_prepared_statements_and_copy(self):
        statement = self.conn.prepare("SELECT CAST(:x AS int8) + 1")
        self.assertEqual([statement.run(x=i) for i in range(3)], [[[1]], [[2]], [[3]]])
        statement.close()
        self.conn.run("COPY items8 (kind, embedding) FROM STDIN", stream=iter(["a\t[1,2,3]\n", "b\t\\N\n"]))
        self.assertEqual(self.conn.row_count, 2)
        out = []

        class Sink:
            def write(self, data):
                out.append(data)

        self.conn.run("COPY (SELECT kind FROM items8 ORDER BY id) TO STDOUT", stream=Sink())
        self.assertEqual("".join(d if isinstance(d, str) else d.decode() for d in out), "a\nb\n")

    def test_types(self):
        values = dict(a=True, b=2**40, c=1.5, d=decimal.Decimal("1.50"), e="täxt", f=b"\x00\xff", g=datetime.date(2024, 2, 29),
                      h=datetime.datetime(2024, 2, 29, 1, 2, 3), j=uuid.UUID(int=7), k=[1, 2], l=[["a", "b c"], ["d", None]], m=None)
        got = self.conn.run(
            "SELECT CAST(:a AS bool), CAST(:b AS int8), CAST(:c AS float8), CAST(:d AS numeric), CAST(:e AS text), "
            "CAST(:f AS bytea), CAST(:g AS date), CAST(:h AS timestamp), CAST(:j AS uuid), CAST(:k AS int4[]), "
            "CAST(:l AS text[]), CAST(:m AS text)", **values)
        self.assertEqual(got[0], list(values.values()))

    def test_errors(self):
        for sql, state in [("SELECT * FROM nowhere", "42P01"), ("INSERT INTO items8 (embedding) VALUES ('[1]')", "22000"),
                           ("SELEC", "42601"), ("INSERT INTO items8 (id) VALUES (1), (1)", "23505")]:
            with self.assertRaises(pg8000.native.DatabaseError) as caught:
                self.conn.run(sql)
            self.assertEqual(caught.exception.args[0]["C"], state)


class DbApi(unittest.TestCase):
    def test_a_tour(self):
        conn = pg8000.dbapi.connect(**server.address())
        cur = conn.cursor()
        cur.execute("CREATE TABLE items8d (id int4 PRIMARY KEY, kind text)")
        cur.executemany("INSERT INTO items8d VALUES (%s, %s)", [(1, "a"), (2, "b")])
        conn.commit()
        cur.execute("DELETE FROM items8d WHERE id = %s", (1,))
        conn.rollback()
        cur.execute("SELECT id, kind FROM items8d ORDER BY id")
        self.assertEqual([column[0] for column in cur.description], ["id", "kind"])
        self.assertEqual(tuple(map(tuple, cur.fetchall())), ((1, "a"), (2, "b")))
        cur.execute("DROP TABLE items8d")
        conn.commit()
        conn.close()


if __name__ == "__main__":
    unittest.main()
