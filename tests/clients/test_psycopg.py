"""psycopg 3, with and without pgvector's adapter: text and binary, pipelines, server cursors, COPY, transactions; and asynchronous."""
import asyncio
import datetime
import decimal
import unittest
import uuid

import numpy as np
import psycopg
import psycopg.types
from pgvector.psycopg import register_vector, register_vector_async
from psycopg.types.json import Jsonb
from psycopg.types.range import DateRange, Int4Range, NumericRange, Range, TimestamptzRange

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

    def test_arrays_of_several_dimensions(self):
        plane = [[1, 2], [3, 4]]
        self.conn.execute("CREATE TEMP TABLE grids (grid int[][])")
        self.conn.execute("INSERT INTO grids VALUES (%s), (%b)", (plane, [[5]]))
        for binary in (False, True):
            got = self.conn.execute("SELECT grid FROM grids ORDER BY grid", binary=binary).fetchall()
            self.assertEqual([row[0] for row in got], [plane, [[5]]])
        self.assertEqual(self.conn.execute("SELECT array_length(%s::text[], 2)", ([["a", "b"]],)).fetchone()[0], 2)

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

    def test_ranges(self):
        utc = datetime.timezone.utc
        day = datetime.date(2024, 2, 28)
        values = (Int4Range(1, 5), NumericRange(decimal.Decimal("0.5"), None, "(]"), DateRange(day, None),
                  TimestamptzRange(datetime.datetime(2024, 1, 1, tzinfo=utc), datetime.datetime(2024, 7, 1, 1, tzinfo=utc), "[]"),
                  Range(empty=True), [Int4Range(None, 3), None])
        types = ("int4range", "numrange", "daterange", "tstzrange", "int8range", "int4range[]")
        expected = (*values[:1], Range(decimal.Decimal("0.5"), None, "()"), *values[2:5], [Range(None, 3, "()"), None])
        sql = "SELECT " + ", ".join(f"%s::{ty}" for ty in types)
        for binary in (False, True):
            self.assertEqual(self.conn.execute(sql, values, binary=binary).fetchone(), expected)
        self.conn.execute("DROP TABLE IF EXISTS prices")
        self.conn.execute("CREATE TABLE prices (id int, valid daterange)")
        with self.conn.cursor() as cur:
            with cur.copy("COPY prices FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "daterange"])
                for i in range(30):
                    copy.write_row([i, DateRange(day, day + datetime.timedelta(days=i))])
        self.conn.execute("CREATE INDEX ON prices USING gist (valid)")
        for _ in range(7):
            got = self.conn.execute("SELECT id FROM prices WHERE valid @> %s ORDER BY id",
                                    (day + datetime.timedelta(days=27),)).fetchall()
            self.assertEqual(got, [(28,), (29,)])
        got = self.conn.execute("SELECT count(*) FROM prices WHERE valid && %s", (DateRange(day, day, "[]"),)).fetchone()
        self.assertEqual(got, (29,))
        self.conn.execute("DROP TABLE prices")

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

    def test_server_side_cursors(self):
        with self.conn.cursor() as cur:
            cur.executemany("INSERT INTO items (kind, embedding) VALUES (%s, %s)",
                            [("ab"[i % 2], np.array([i, 0, 0])) for i in range(500)])
        with self.conn.transaction(), self.conn.cursor(name="walk") as cur:
            cur.execute("SELECT id, embedding FROM items WHERE kind = %s ORDER BY embedding <-> %s", ("a", np.array([0, 0, 0])))
            self.assertEqual([column.name for column in cur.description], ["id", "embedding"])
            self.assertEqual([row[0] for row in cur.fetchmany(3)], [1, 3, 5])
            self.assertEqual(cur.fetchone()[0], 7)
            cur.itersize = 50
            self.assertEqual(len(list(cur)), 246)

    def test_executemany_returning(self):
        with self.conn.cursor() as cur:
            cur.executemany("INSERT INTO items (kind) VALUES (%s) RETURNING id, kind", [("a",), ("b",), ("c",)],
                            returning=True)
            rows = []
            while True:
                rows.append(cur.fetchone())
                if not cur.nextset():
                    break
        self.assertEqual(rows, [(1, "a"), (2, "b"), (3, "c")])

    def test_nested_transactions_are_savepoints(self):
        with self.conn.transaction():
            self.conn.execute("INSERT INTO items (kind) VALUES ('kept')")
            with self.assertRaises(psycopg.errors.DivisionByZero), self.conn.transaction():
                self.conn.execute("INSERT INTO items (kind) VALUES ('lost')")
                self.conn.execute("SELECT 1/0")
            with self.conn.transaction(force_rollback=True):
                self.conn.execute("INSERT INTO items (kind) VALUES ('lost too')")
        self.assertEqual(self.conn.execute("SELECT kind FROM items").fetchall(), [("kept",)])

    def test_a_failure_within_a_pipeline(self):
        with self.conn.pipeline() as pipeline:
            first = self.conn.execute("INSERT INTO items (kind) VALUES ('a') RETURNING id")
            pipeline.sync()
            with self.assertRaises(psycopg.errors.NotNullViolation):
                self.conn.execute("INSERT INTO items (id) VALUES (NULL)")
                pipeline.sync()
            self.assertEqual(first.fetchone(), (1,))
        self.assertEqual(self.conn.execute("SELECT count(*) FROM items").fetchone(), (1,))

    def test_copy_in_text_and_out_again(self):
        with self.conn.cursor() as cur:
            with cur.copy("COPY items (kind, embedding) FROM STDIN") as copy:
                copy.write_row(("tab\tand\nline", "[1,2,3]"))
                copy.write_row((None, None))
            self.assertEqual(cur.rowcount, 2)
            with cur.copy("COPY items (kind, embedding) TO STDOUT (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                rows = list(copy.rows())
            self.assertEqual((rows[0][0], rows[0][1].to_list()), ("tab\tand\nline", [1, 2, 3]))
            self.assertEqual(rows[1], (None, None))
            with self.assertRaises(psycopg.errors.DataException):
                with cur.copy("COPY items (kind, embedding) FROM STDIN") as copy:
                    copy.write_row(("bad", "[1,2]"))
            with self.assertRaises(psycopg.errors.QueryCanceled):
                with cur.copy("COPY items (kind) FROM STDIN") as copy:
                    copy.write_row(("half",))
                    raise psycopg.errors.QueryCanceled("given up")
        self.assertEqual(self.conn.execute("SELECT count(*) FROM items").fetchone(), (2,))

    def test_type_lookup_and_connection_info(self):
        for name in ("vector", "halfvec", "jsonb", "public.vector", "int4"):
            info = psycopg.types.TypeInfo.fetch(self.conn, name)
            self.assertIsNotNone(info, name)
            self.assertGreater(info.oid, 0)
        self.assertIsNone(psycopg.types.TypeInfo.fetch(self.conn, "no_such_type"))
        info = self.conn.info
        self.assertGreaterEqual(info.server_version, 160000)
        self.assertEqual((info.encoding, info.user, info.dbname), ("utf-8", "postgres", "postgres"))
        self.assertEqual(info.parameter_status("standard_conforming_strings"), "on")

    def test_update_delete_upsert(self):
        with self.conn.cursor() as cur:
            cur.execute("INSERT INTO items (id, kind) VALUES (1, 'a'), (2, 'b')")
            self.assertEqual(cur.rowcount, 2)
            cur.execute("UPDATE items SET kind = %s, embedding = %s WHERE id = %s RETURNING *", ("c", np.array([1, 2, 3]), 2))
            row = cur.fetchone()
            self.assertEqual((row[:2], row[2].to_list()), ((2, "c"), [1, 2, 3]))
            cur.execute("INSERT INTO items (id, kind) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET kind = excluded.kind")
            cur.execute("DELETE FROM items WHERE kind = ANY(%s)", (["z", "y"],))
            self.assertEqual((cur.rowcount, cur.statusmessage), (1, "DELETE 1"))

    def test_the_parts_of_an_error(self):
        with self.assertRaises(psycopg.errors.UniqueViolation) as caught:
            self.conn.execute("INSERT INTO items (id) VALUES (1), (1)")
        diag = caught.exception.diag
        self.assertEqual((diag.sqlstate, diag.severity, diag.constraint_name, diag.table_name, diag.schema_name),
                         ("23505", "ERROR", "items_pkey", "items", "public"))
        self.assertEqual(diag.message_primary, 'duplicate key value violates unique constraint "items_pkey"')
        self.assertEqual(diag.message_detail, "Key (id)=(1) already exists.")

    def test_notices_and_cancel(self):
        notices = []
        self.conn.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
        self.conn.execute("DROP TABLE IF EXISTS not_there")
        self.assertEqual(notices, [("NOTICE", 'table "not_there" does not exist, skipping')])
        self.conn.execute("SET statement_timeout = 50")
        with self.assertRaises(psycopg.errors.QueryCanceled):
            self.conn.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
        self.conn.execute("RESET statement_timeout")

    def test_errors_have_sqlstates(self):
        for sql, error in [
            ("SELECT * FROM nowhere", psycopg.errors.UndefinedTable),
            ("INSERT INTO items (embedding) VALUES ('[1,2]')", psycopg.errors.DataException),
            ("SELECT '[1,nan,2]'::vector", psycopg.errors.DataError),
            ("SELEC", psycopg.errors.SyntaxError),
        ]:
            with self.assertRaises(error, msg=sql):
                self.conn.execute(sql)


class AsyncPsycopg(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.conn = await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True)
        await self.conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await self.conn.execute("DROP TABLE IF EXISTS async_psycopg")
        await self.conn.execute("CREATE TABLE async_psycopg (id bigserial PRIMARY KEY, kind text, embedding vector(3))")
        await register_vector_async(self.conn)

    async def asyncTearDown(self):
        await self.conn.execute("DROP TABLE async_psycopg")
        await self.conn.close()

    async def test_a_tour(self):
        async with self.conn.cursor() as cur:
            await cur.executemany("INSERT INTO async_psycopg (kind, embedding) VALUES (%s, %s)",
                                  [("ab"[i % 2], np.array([i, 0, 0])) for i in range(100)])
            async with cur.copy("COPY async_psycopg (kind, embedding) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "vector"])
                await copy.write_row(["c", np.array([1000, 0, 0])])
        async with self.conn.transaction(), self.conn.cursor(name="walk") as cur:
            await cur.execute("SELECT id FROM async_psycopg WHERE kind = 'a' ORDER BY embedding <-> %s LIMIT 20",
                              (np.array([0, 0, 0]),))
            self.assertEqual([row[0] for row in await cur.fetchmany(3)], [1, 3, 5])
        async with self.conn.pipeline():
            cursors = [await self.conn.execute("SELECT %s::int4 + 1", (i,)) for i in range(20)]
            await asyncio.sleep(0)
        self.assertEqual([(await cur.fetchone())[0] for cur in cursors], list(range(1, 21)))
        with self.assertRaises(psycopg.errors.UndefinedColumn):
            await self.conn.execute("SELECT nothing FROM async_psycopg")


if __name__ == "__main__":
    unittest.main()
